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

// rowTag is the domain of the MACs.
const rowTag = "snpguard/v1/row"

// Errors about rows that decisions rest on.
var (
	// ErrTampered: a row is not as the service wrote it under the key that it has:
	// somebody else wrote it, or the key-encryption key was rotated meanwhile.
	ErrTampered = errors.New("database was changed by somebody else than this service, or its key-encryption key was rotated: " +
		"after a rotation restart with the new key, otherwise restore a backup")

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

// mac returns the HMAC-SHA-256 over the domain tag, the name of a table and the
// values of a row of it.
func (k rowKey) mac(table string, values ...any) (mac [sha256.Size]byte, err error) {
	if len(k) == 0 {
		return mac, errNoRowKey
	}
	h := hmac.New(sha256.New, k)
	hashValues(h, rowTag, table)
	hashValues(h, values...)
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// check compares a MAC with that of the values. The error wraps ErrTampered.
func (k rowKey) check(mac []byte, table string, values ...any) error {
	want, err := k.mac(table, values...)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, want[:]) {
		return fmt.Errorf("table %s: %w", table, ErrTampered)
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
