package sim

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"math/big"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Report encodes and signs a report and returns its 1184 bytes.
func (v *VEK) Report(r *snp.Report) ([]byte, error) {
	out := EncodeReport(r)
	return out, v.Sign(out)
}

// Sign signs the first 672 bytes of report in place, whatever they say, and
// writes R and S little-endian where a report has them. The rest of the signature
// field stays as it is.
func (v *VEK) Sign(report []byte) error {
	if len(report) < offsetSignatureS+scalarSize {
		return fmt.Errorf("sign report: %d bytes, want %d", len(report), snp.ReportSize)
	}
	digest := sha512.Sum384(report[:snp.SignedSize])
	r, s, err := ecdsa.Sign(rand.Reader, v.Key, digest[:])
	if err != nil {
		return fmt.Errorf("sign report: %w", err)
	}
	PutSignature(report, r, s)
	return nil
}

// scalarSize is the size of a P-384 number in bytes.
const scalarSize = 48

// PutSignature writes R and S, of at most 48 bytes each, into a report.
func PutSignature(report []byte, r, s *big.Int) {
	for offset, n := range map[int]*big.Int{offsetSignatureR: r, offsetSignatureS: s} {
		le := n.FillBytes(make([]byte, scalarSize))
		slices.Reverse(le)
		copy(report[offset:], le)
	}
}
