package idblock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// ErrKey is a key that cannot sign or check an ID block.
var ErrKey = errors.New("not a usable key")

// Layout of an ECDSA public key (56860 rev. 1.58, chapter 10, table "Format for
// an ECDSA P-384 Public Key"): the curve, then QX and QY as little-endian
// numbers, then reserved bytes.
const (
	publicKeySize = 0x404
	curveP384     = 2
	offsetCurve   = 0x00
	offsetQX      = 0x04
	offsetQY      = 0x4C
	offsetKeyEnd  = 0x94
	scalarSize    = 48 // of a P-384 number
	fieldSize     = 72 // that the ABI keeps for one
)

// KeyDigestSize is the size in bytes of a key's digest: one SHA-384.
const KeyDigestSize = sha512.Size384

// KeyDigest returns ID_KEY_DIGEST or AUTHOR_KEY_DIGEST of a public key, as
// attestation reports carry it: the SHA-384 of the key in the ABI's format.
// The error wraps ErrKey.
func KeyDigest(key *ecdsa.PublicKey) ([KeyDigestSize]byte, error) {
	encoded, err := encodeKey(key)
	if err != nil {
		return [KeyDigestSize]byte{}, err
	}
	return sha512.Sum384(encoded), nil
}

// encodeKey writes a public key in the ABI's format.
func encodeKey(key *ecdsa.PublicKey) ([]byte, error) {
	if err := checkCurve(key); err != nil {
		return nil, err
	}
	point, err := key.Bytes() // SEC 1: 0x04, X, Y, both big-endian
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	out := make([]byte, publicKeySize)
	binary.LittleEndian.PutUint32(out[offsetCurve:], curveP384)
	putLittleEndian(out[offsetQX:], point[1:1+scalarSize])
	putLittleEndian(out[offsetQY:], point[1+scalarSize:])
	return out, nil
}

// decodeKey reads a public key in the ABI's format.
func decodeKey(data []byte) (*ecdsa.PublicKey, error) {
	if curve := binary.LittleEndian.Uint32(data[offsetCurve:]); curve != curveP384 {
		return nil, fmt.Errorf("curve %d, want %d (P-384)", curve, curveP384)
	}
	x, okX := bigEndian(data[offsetQX:offsetQY])
	y, okY := bigEndian(data[offsetQY:offsetKeyEnd])
	if !okX || !okY || !isZero(data[offsetKeyEnd:]) {
		return nil, errors.New("reserved bytes of the key are not zero")
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P384(), slices.Concat([]byte{4}, x, y))
}

func checkCurve(key *ecdsa.PublicKey) error {
	if key.Curve != elliptic.P384() {
		return fmt.Errorf("%w: curve %s, SEV-SNP wants P-384", ErrKey, key.Params().Name)
	}
	return nil
}

// putLittleEndian writes a big-endian number in reverse.
func putLittleEndian(dst, number []byte) {
	copy(dst, number)
	slices.Reverse(dst[:len(number)])
}

// bigEndian reads a field of fieldSize bytes, and whether its unused end is
// zero.
func bigEndian(field []byte) ([]byte, bool) {
	number := slices.Clone(field[:scalarSize])
	slices.Reverse(number)
	return number, isZero(field[scalarSize:fieldSize])
}

func isZero(data []byte) bool {
	return !slices.ContainsFunc(data, func(b byte) bool { return b != 0 })
}

// ParsePrivateKey reads an ECDSA P-384 private key from PEM or DER, in SEC 1 ("EC
// PRIVATE KEY") or PKCS #8 ("PRIVATE KEY") form. Other blocks, such as "EC
// PARAMETERS", are passed over. The error wraps ErrKey and quotes no key.
func ParsePrivateKey(data []byte) (*ecdsa.PrivateKey, error) {
	key, err := findKey(data, func(block *pem.Block) (any, error) {
		switch block.Type {
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is not an EC private key", ErrKey)
	}
	return private, checkCurve(&private.PublicKey)
}

// ParsePublicKey reads an ECDSA P-384 public key: a "PUBLIC KEY" in PEM or DER, the
// bytes of its point alone (SEC 1, section 2.3.3), or a private key that
// ParsePrivateKey reads. A point may be compressed. The error wraps ErrKey.
func ParsePublicKey(data []byte) (*ecdsa.PublicKey, error) {
	if isPoint(data) {
		key, err := parsePoint(data)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return key, nil
	}
	key, err := findKey(data, func(block *pem.Block) (any, error) {
		if block.Type == "PUBLIC KEY" {
			return parsePublic(block.Bytes)
		}
		return nil, nil
	})
	if errors.Is(err, errOther) || errors.Is(err, errNeither) {
		private, err := ParsePrivateKey(data)
		if err != nil {
			return nil, err
		}
		return &private.PublicKey, nil
	}
	if err != nil {
		return nil, err
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is not an EC public key", ErrKey)
	}
	return public, checkCurve(public)
}

// What findKey says of a file without a key that is looked for.
var (
	errOther   = errors.New("it holds only")
	errNeither = errors.New("it is neither PEM nor a key in DER")
)

// findKey returns the first key that parse finds in a PEM file, or in DER.
func findKey(data []byte, parse func(*pem.Block) (any, error)) (any, error) {
	var seen []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, fmt.Errorf("%w: it is encrypted; decrypt it first", ErrKey)
		}
		key, err := parse(block)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrKey, block.Type, err)
		}
		if key != nil {
			return key, nil
		}
		seen = append(seen, block.Type)
	}
	if len(seen) > 0 {
		return nil, fmt.Errorf("%w: %w %q", ErrKey, errOther, seen)
	}
	for _, block := range blocks(data) {
		if key, err := parse(block); err == nil && key != nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrKey, errNeither)
}
