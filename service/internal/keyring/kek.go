package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// KEKSize is the size of the key-encryption key in bytes.
const KEKSize = 32

// Errors of this package.
var (
	// ErrKEKFile: the file with the KEK is not one, or others may read it.
	ErrKEKFile = errors.New("unusable file for the key-encryption key")

	// ErrWrongKEK: a sealed key does not open, so this KEK belongs to another
	// database, or the database was changed.
	ErrWrongKEK = errors.New("key-encryption key does not fit this database")
)

// KEK seals the other keys, and what is derived from it authenticates the database.
type KEK struct {
	aead cipher.AEAD
	rows []byte
}

// RowKey returns the key that authenticates rows of the database: whoever writes to
// it without knowing the KEK can neither make nor change one. It has 32 bytes,
// HKDF-SHA-256 of the KEK.
func (k *KEK) RowKey() []byte { return bytes.Clone(k.rows) }

// LoadKEK reads the KEK from a file of exactly KEKSize bytes that only its
// owner may read, or makes it there when create is set and there is no file.
// The error wraps ErrKEKFile.
func LoadKEK(path string, create bool) (*KEK, error) {
	key, err := readKEK(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		key, err = createKEK(path)
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return NewKEK(key)
}

// NewKEK makes a KEK from KEKSize bytes.
func NewKEK(key []byte) (*KEK, error) {
	if len(key) != KEKSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrKEKFile, len(key), KEKSize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	rows, err := hkdf.Key(sha256.New, key, nil, "snpguard/v1/row-key", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &KEK{aead, rows}, nil
}

func readKEK(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	if !info.Mode().IsRegular() || info.Size() != KEKSize {
		return nil, fmt.Errorf("%w: %s: want a file of %d bytes", ErrKEKFile, path, KEKSize)
	}
	if !private(info) {
		return nil, fmt.Errorf("%w: %s: others can read it (mode %o): run chmod 600", ErrKEKFile, path, info.Mode().Perm())
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	return key, nil
}

// createKEK links the file into place, so that of two processes that start at
// once one wins and both read the same key.
func createKEK(path string) ([]byte, error) {
	key := make([]byte, KEKSize)
	rand.Read(key) // never fails, see crypto/rand
	temporary, err := renameio.NewPendingFile(path, renameio.WithStaticPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	defer temporary.Cleanup() //nolint:errcheck // the name is gone or was never wanted
	if _, err := temporary.Write(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	if err := temporary.Sync(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKEKFile, err)
	}
	return readKEK(path)
}

// syncDirectory makes the file's name last before any key depends on the file.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// Seal encrypts a key under a name, which Open must give again.
func (k *KEK) Seal(name string, key []byte) []byte {
	return k.aead.Seal(nil, nil, key, additional(name))
}

// Open decrypts what Seal made under the same name. The error wraps
// ErrWrongKEK.
func (k *KEK) Open(name string, sealed []byte) ([]byte, error) {
	key, err := k.aead.Open(nil, nil, sealed, additional(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrWrongKEK)
	}
	return key, nil
}

func additional(name string) []byte { return []byte("snpguard/v1/sealed-key\x00" + name) }
