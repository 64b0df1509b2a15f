package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	mathbits "math/bits"
)

// rowSum is the sum of the terms of all authenticated rows, modulo 2^256. The end of
// the audit log has it: a row that is put back as it was, or left out, is genuine for
// itself, but no longer adds up. It is the multiset hash MSet-Add-Hash of Clarke et
// al. (ASIACRYPT 2003), which wants terms and sum to be secret: who knows them finds
// other rows of the same sum (Wagner, CRYPTO 2002).
type rowSum [sha256.Size]byte

// sealedSumSize is the size in bytes of a sum as the database has it: random bytes,
// then the sum plus the mask that belongs to them.
const sealedSumSize = 2 * sha256.Size

// sealSum hides a sum, each time in another way.
func (k rowKey) sealSum(sum rowSum) ([]byte, error) {
	sealed := make([]byte, sha256.Size, sealedSumSize)
	rand.Read(sealed) // never fails, see crypto/rand
	mask, err := k.hmac(maskTag, sealed)
	sum.add(mask)
	return append(sealed, sum[:]...), err
}

// openSum returns a sum that sealSum hid. It is the caller's to see that nobody
// changed it.
func (k rowKey) openSum(sealed [sealedSumSize]byte) (rowSum, error) {
	mask, err := k.hmac(maskTag, sealed[:sha256.Size])
	sum := rowSum(sealed[sha256.Size:])
	sum.subtract(mask)
	return sum, err
}

// words is how many 64-bit numbers a sum has, the most significant first.
const words = sha256.Size / 8

func (s *rowSum) add(term [sha256.Size]byte) {
	var carry uint64
	for i := words - 1; i >= 0; i-- {
		a, b := binary.BigEndian.Uint64(s[8*i:]), binary.BigEndian.Uint64(term[8*i:])
		a, carry = mathbits.Add64(a, b, carry)
		binary.BigEndian.PutUint64(s[8*i:], a)
	}
}

func (s *rowSum) subtract(term [sha256.Size]byte) {
	var borrow uint64
	for i := words - 1; i >= 0; i-- {
		a, b := binary.BigEndian.Uint64(s[8*i:]), binary.BigEndian.Uint64(term[8*i:])
		a, borrow = mathbits.Sub64(a, b, borrow)
		binary.BigEndian.PutUint64(s[8*i:], a)
	}
}

// settle adds what a transaction changed of authenticated rows to the sum of all.
// It comes last in the transaction: the end of the log is not locked for long.
func (s *Store) settle(ctx context.Context, tx *transaction) error {
	if tx.change == (rowSum{}) {
		return nil
	}
	end, err := s.lockEnd(ctx, tx)
	if err != nil {
		return err
	}
	end.rows.add(tx.change)
	return s.writeEnd(ctx, tx, end)
}
