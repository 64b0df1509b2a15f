package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	mathbits "math/bits"
)

// rowSum is the sum of the MACs of all authenticated rows, modulo 2^256. The end of
// the audit log has it, under a MAC of its own: a row that is put back as it was, or
// left out, is genuine for itself, but no longer adds up. (It is the multiset hash
// MSet-Add-Hash of Clarke et al., ASIACRYPT 2003.)
type rowSum [sha256.Size]byte

// words is how many 64-bit numbers a sum has, the most significant first.
const words = sha256.Size / 8

func (s *rowSum) add(mac [sha256.Size]byte) {
	var carry uint64
	for i := words - 1; i >= 0; i-- {
		a, b := binary.BigEndian.Uint64(s[8*i:]), binary.BigEndian.Uint64(mac[8*i:])
		a, carry = mathbits.Add64(a, b, carry)
		binary.BigEndian.PutUint64(s[8*i:], a)
	}
}

func (s *rowSum) subtract(mac [sha256.Size]byte) {
	var borrow uint64
	for i := words - 1; i >= 0; i-- {
		a, b := binary.BigEndian.Uint64(s[8*i:]), binary.BigEndian.Uint64(mac[8*i:])
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
