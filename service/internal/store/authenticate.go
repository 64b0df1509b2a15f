package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// RowKeySize is the size in bytes of the key that authenticates rows.
const RowKeySize = 32

// Domains of what is computed under the key of rows.
const (
	rowTag  = "snpguard/v1/row"
	sumTag  = "snpguard/v1/row-sum"
	maskTag = "snpguard/v1/row-sum-mask"
)

// Errors about rows that decisions rest on.
var (
	// ErrTampered: a row is not as the service wrote it under the key that it has:
	// somebody else wrote it, or the key-encryption key was rotated meanwhile.
	ErrTampered = errors.New("it was not written by this service, or the key-encryption key was rotated")

	errNoRowKey = errors.New("no key to authenticate rows with")
)

// Authenticate gives the store the key that authenticates what decisions rest on:
// RowKeySize bytes that whoever writes to the database does not know. Without it no
// such row is read or written. It is called once, before anything else is done. The
// error wraps ErrTampered when the database does not fit together under the key.
func (s *Store) Authenticate(ctx context.Context, key []byte) error {
	if len(key) != RowKeySize {
		return fmt.Errorf("authenticate rows: %w", invalidf("key has %d bytes, want %d", len(key), RowKeySize))
	}
	s.rowKey = append(rowKey(nil), key...)
	return s.VerifyRows(ctx)
}

// rowKey authenticates rows.
type rowKey []byte

// hmac returns the HMAC-SHA-256 over a domain tag and values.
func (k rowKey) hmac(tag string, values ...any) (sum [sha256.Size]byte, err error) {
	if len(k) == 0 {
		return sum, errNoRowKey
	}
	h := hmac.New(sha256.New, k)
	hashValues(h, tag)
	hashValues(h, values...)
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// mac returns the MAC of a row: over the name of its table and its values.
func (k rowKey) mac(table string, values ...any) ([sha256.Size]byte, error) {
	return k.hmac(rowTag, append([]any{table}, values...)...)
}

// term returns what a row adds to the sum of all. Nobody else knows it.
func (k rowKey) term(r row) ([sha256.Size]byte, error) {
	return k.hmac(sumTag, append([]any{r.table().name}, r.values()...)...)
}

// check compares a MAC with that of the values. The error wraps ErrTampered.
func (k rowKey) check(mac []byte, table string, values ...any) error {
	want, err := k.mac(table, values...)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, want[:]) {
		return fmt.Errorf("table %s of the database: %w", table, ErrTampered)
	}
	return nil
}

// hashValues hashes values as databases take them, each preceded by its length, 32
// bits, big-endian, so that no two lists of values of the same types are one. Numbers
// have 64 bits, NULL is empty.
func hashValues(h hash.Hash, values ...any) {
	for _, value := range values {
		var b []byte
		switch v := value.(type) {
		case []byte:
			b = v
		case string:
			b = []byte(v)
		case bool:
			b = []byte{0}
			if v {
				b[0] = 1
			}
		case int:
			b = binary.BigEndian.AppendUint64(nil, uint64(v))
		case int64:
			b = binary.BigEndian.AppendUint64(nil, uint64(v))
		default:
			panic(fmt.Sprintf("store: hash of a %T", value))
		}
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		h.Write(b)
	}
}
