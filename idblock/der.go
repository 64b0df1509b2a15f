package idblock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
)

// The first byte of DER that holds a key, a SEQUENCE, and those of points (SEC 1,
// section 2.3.3).
const (
	derSequence       = 0x30
	pointEven         = 0x02
	pointOdd          = 0x03
	pointUncompressed = 0x04
	compressedSize    = 1 + scalarSize
	uncompressedSize  = 1 + 2*scalarSize
)

// subjectPublicKeyInfo is a public key (RFC 5480, section 2).
type subjectPublicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	PublicKey asn1.BitString
}

// errPoint is a point that is not on the curve.
var errPoint = errors.New("its point is not on the curve P-384")

// blocks returns what a file without PEM may hold, as PEM would label it.
func blocks(data []byte) []*pem.Block {
	if len(data) == 0 || data[0] != derSequence {
		return nil
	}
	var all []*pem.Block
	for _, label := range []string{"EC PRIVATE KEY", "PRIVATE KEY", "PUBLIC KEY"} {
		all = append(all, &pem.Block{Type: label, Bytes: data})
	}
	return all
}

// parsePublic reads a SubjectPublicKeyInfo, also with a compressed point, which
// crypto/x509 does not take.
func parsePublic(der []byte) (any, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err == nil {
		return key, nil
	}
	var info subjectPublicKeyInfo
	if rest, asnErr := asn1.Unmarshal(der, &info); asnErr != nil || len(rest) > 0 || !isPoint(info.PublicKey.Bytes) {
		return nil, err
	}
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve); err != nil || !curve.Equal(asn1.ObjectIdentifier{1, 3, 132, 0, 34}) {
		return nil, errors.New("its point is compressed, and not of the curve P-384")
	}
	return parsePoint(info.PublicKey.Bytes)
}

// isPoint tells a bare point of P-384 from everything else.
func isPoint(data []byte) bool {
	switch {
	case len(data) == compressedSize:
		return data[0] == pointEven || data[0] == pointOdd
	case len(data) == uncompressedSize:
		return data[0] == pointUncompressed
	}
	return false
}

// parsePoint reads a bare point, which isPoint knows.
func parsePoint(data []byte) (*ecdsa.PublicKey, error) {
	if data[0] != pointUncompressed {
		x, y := elliptic.UnmarshalCompressed(elliptic.P384(), data)
		if x == nil {
			return nil, errPoint
		}
		data = make([]byte, uncompressedSize)
		data[0] = pointUncompressed
		x.FillBytes(data[1 : 1+scalarSize])
		y.FillBytes(data[1+scalarSize:])
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), data)
	if err != nil {
		return nil, errPoint
	}
	return key, nil
}
