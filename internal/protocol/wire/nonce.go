package wire

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// Sizes in bytes of a nonce that a verifier draws for a report: shorter ones
// repeat.
const (
	MinReportNonce = 16
	MaxReportNonce = 64
)

// ParseReportNonce reads a nonce as it is written: hexadecimal digits, otherwise
// base64, of MinReportNonce to MaxReportNonce bytes.
func ParseReportNonce(text string) ([]byte, error) {
	nonce, err := hex.DecodeString(text)
	if err != nil {
		if nonce, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, errors.New("neither hexadecimal nor base64")
		}
	}
	if len(nonce) < MinReportNonce || len(nonce) > MaxReportNonce {
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(nonce), MinReportNonce, MaxReportNonce)
	}
	return nonce, nil
}
