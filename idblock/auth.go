package idblock

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// AuthenticationSize is the size of the ID authentication information in bytes.
const AuthenticationSize = 0x1000

// algorithmP384 is ECDSA P-384 with SHA-384 (56860 rev. 1.58, chapter 10,
// table "Algorithm Encodings").
const algorithmP384 = 1

// Offsets in the ID authentication information (56860 rev. 1.58, section 8.18,
// table "ID Authentication Information Structure").
const (
	offsetIDKeyAlgo     = 0x000
	offsetAuthorKeyAlgo = 0x004
	offsetReserved1     = 0x008
	offsetIDBlockSig    = 0x040
	offsetIDKey         = 0x240
	offsetReserved2     = 0x644
	offsetIDKeySig      = 0x680
	offsetAuthorKey     = 0x880
	offsetReserved3     = 0xC84
)

// signatureSize is the size of a signature: R and S as little-endian numbers,
// then reserved bytes (56860 rev. 1.58, chapter 10, table "Format for an ECDSA
// P-384 Signature").
const (
	signatureSize   = 0x200
	offsetR         = 0x00
	offsetS         = 0x48
	offsetSignedEnd = 0x90
)

// ErrSignature is a signature that does not fit.
var ErrSignature = errors.New("wrong signature")

// Signature is an ECDSA P-384 signature: R and S, big-endian.
type Signature struct {
	R, S [scalarSize]byte
}

// Authentication is the ID authentication information: who vouches for an ID
// block.
type Authentication struct {
	IDBlockSig Signature        // over the ID block, by the ID key
	IDKey      *ecdsa.PublicKey // never nil
	IDKeySig   Signature        // over the ID key, by the author key; zero without one
	AuthorKey  *ecdsa.PublicKey // nil when AUTHOR_KEY_EN is not to be set
}

// Sign makes the ID authentication information for b. Signatures follow RFC
// 6979, so the same inputs give the same bytes. Without authorKey (nil) nobody
// vouches for the ID key. The error wraps ErrMalformed, ErrPolicy or ErrKey.
func Sign(b IDBlock, idKey, authorKey *ecdsa.PrivateKey) (*Authentication, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	encoded, err := encodeKey(&idKey.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("ID key: %w", err)
	}
	a := &Authentication{IDKey: &idKey.PublicKey}
	if a.IDBlockSig, err = sign(idKey, b.Bytes()); err != nil {
		return nil, fmt.Errorf("sign ID block: %w", err)
	}
	if authorKey == nil {
		return a, nil
	}
	if err := checkCurve(&authorKey.PublicKey); err != nil {
		return nil, fmt.Errorf("author key: %w", err)
	}
	a.AuthorKey = &authorKey.PublicKey
	if a.IDKeySig, err = sign(authorKey, encoded); err != nil {
		return nil, fmt.Errorf("sign ID key: %w", err)
	}
	return a, nil
}

func sign(key *ecdsa.PrivateKey, message []byte) (Signature, error) {
	digest := sha512.Sum384(message)
	der, err := key.Sign(nil, digest[:], crypto.SHA384) // no randomness: RFC 6979
	if err != nil {
		return Signature{}, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return Signature{}, err
	}
	var s Signature
	rs.R.FillBytes(s.R[:])
	rs.S.FillBytes(s.S[:])
	return s, nil
}

// Verify checks that a vouches for b, as the AMD-SP does at SNP_LAUNCH_FINISH.
// The error wraps ErrSignature or ErrKey.
func (a *Authentication) Verify(b IDBlock) error {
	if !verify(a.IDKey, b.Bytes(), a.IDBlockSig) {
		return fmt.Errorf("ID block: %w", ErrSignature)
	}
	if a.AuthorKey == nil {
		return nil
	}
	encoded, err := encodeKey(a.IDKey)
	if err != nil {
		return err
	}
	if !verify(a.AuthorKey, encoded, a.IDKeySig) {
		return fmt.Errorf("ID key: %w", ErrSignature)
	}
	return nil
}

func verify(key *ecdsa.PublicKey, message []byte, s Signature) bool {
	digest := sha512.Sum384(message)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s.R[:]), new(big.Int).SetBytes(s.S[:]))
}

// Bytes returns the structure as the AMD-SP reads it. The error wraps ErrKey.
func (a *Authentication) Bytes() ([]byte, error) {
	out := make([]byte, AuthenticationSize)
	idKey, err := encodeKey(a.IDKey)
	if err != nil {
		return nil, fmt.Errorf("ID key: %w", err)
	}
	binary.LittleEndian.PutUint32(out[offsetIDKeyAlgo:], algorithmP384)
	copy(out[offsetIDKey:], idKey)
	putSignature(out[offsetIDBlockSig:], a.IDBlockSig)
	if a.AuthorKey == nil {
		return out, nil
	}
	authorKey, err := encodeKey(a.AuthorKey)
	if err != nil {
		return nil, fmt.Errorf("author key: %w", err)
	}
	binary.LittleEndian.PutUint32(out[offsetAuthorKeyAlgo:], algorithmP384)
	copy(out[offsetAuthorKey:], authorKey)
	putSignature(out[offsetIDKeySig:], a.IDKeySig)
	return out, nil
}

func putSignature(dst []byte, s Signature) {
	putLittleEndian(dst[offsetR:], s.R[:])
	putLittleEndian(dst[offsetS:], s.S[:])
}

// ParseAuthentication reads ID authentication information. It checks the
// format, not the signatures: that is Verify's. The error wraps ErrMalformed.
func ParseAuthentication(data []byte) (*Authentication, error) {
	a, err := parseAuthentication(data)
	if err != nil {
		return nil, fmt.Errorf("ID authentication information: %w: %w", ErrMalformed, err)
	}
	return a, nil
}

func parseAuthentication(data []byte) (*Authentication, error) {
	if len(data) != AuthenticationSize {
		return nil, fmt.Errorf("%d bytes, want %d", len(data), AuthenticationSize)
	}
	if !isZero(data[offsetReserved1:offsetIDBlockSig]) || !isZero(data[offsetReserved2:offsetIDKeySig]) ||
		!isZero(data[offsetReserved3:]) {
		return nil, errors.New("reserved bytes are not zero")
	}
	if algo := binary.LittleEndian.Uint32(data[offsetIDKeyAlgo:]); algo != algorithmP384 {
		return nil, fmt.Errorf("ID key algorithm %d, want %d", algo, algorithmP384)
	}
	var a Authentication
	var err error
	if a.IDKey, err = decodeKey(data[offsetIDKey:offsetReserved2]); err != nil {
		return nil, fmt.Errorf("ID key: %w", err)
	}
	if a.IDBlockSig, err = parseSignature(data[offsetIDBlockSig:offsetIDKey]); err != nil {
		return nil, fmt.Errorf("signature of the ID block: %w", err)
	}
	switch algo := binary.LittleEndian.Uint32(data[offsetAuthorKeyAlgo:]); algo {
	case 0:
		if !isZero(data[offsetIDKeySig:offsetReserved3]) {
			return nil, errors.New("author key without an algorithm")
		}
		return &a, nil
	case algorithmP384:
	default:
		return nil, fmt.Errorf("author key algorithm %d, want %d or none", algo, algorithmP384)
	}
	if a.AuthorKey, err = decodeKey(data[offsetAuthorKey:offsetReserved3]); err != nil {
		return nil, fmt.Errorf("author key: %w", err)
	}
	if a.IDKeySig, err = parseSignature(data[offsetIDKeySig:offsetAuthorKey]); err != nil {
		return nil, fmt.Errorf("signature of the ID key: %w", err)
	}
	return &a, nil
}

// parseSignature wants R and S between 1 and the group order.
func parseSignature(data []byte) (Signature, error) {
	r, okR := bigEndian(data[offsetR:offsetS])
	s, okS := bigEndian(data[offsetS:offsetSignedEnd])
	if !okR || !okS || !isZero(data[offsetSignedEnd:signatureSize]) {
		return Signature{}, errors.New("reserved bytes are not zero")
	}
	order := elliptic.P384().Params().N
	for _, number := range [][]byte{r, s} {
		if n := new(big.Int).SetBytes(number); n.Sign() == 0 || n.Cmp(order) >= 0 {
			return Signature{}, errors.New("number R or S is out of range")
		}
	}
	return Signature{R: [scalarSize]byte(r), S: [scalarSize]byte(s)}, nil
}
