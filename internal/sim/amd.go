package sim

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// AMD is a simulated AMD. Two of them have the same names and different keys.
// It is safe for concurrent use.
type AMD struct {
	lines map[snp.Product]*Line
	seed  [32]byte // the endorsement keys of all chips are derived from it
	clock func() time.Time
}

// Line holds the authorities of one product line.
type Line struct {
	Product snp.Product
	ARK     *Authority // AMD root key, self-signed
	ASK     *Authority // AMD SEV key, issues VCEKs
	ASVK    *Authority // AMD SEV VLEK key, issues VLEKs
}

// New makes a simulated AMD with new keys for the given product lines, all of
// them when none is given. It takes seconds: three RSA-4096 keys a line. Keep
// the result with Marshal.
func New(products ...snp.Product) (*AMD, error) {
	if len(products) == 0 {
		products = snp.Products()
	}
	a := &AMD{lines: make(map[snp.Product]*Line), clock: time.Now}
	if _, err := rand.Read(a.seed[:]); err != nil {
		return nil, err
	}
	for _, p := range products {
		line, err := newLine(p)
		if err != nil {
			return nil, fmt.Errorf("make simulated %s: %w", p, err)
		}
		a.lines[p] = line
	}
	return a, nil
}

// At returns the same AMD with a clock that always gives t. The clock sets the
// validity of the certificates and CRLs that it issues.
func (a *AMD) At(t time.Time) *AMD { return a.WithClock(func() time.Time { return t }) }

// WithClock returns the same AMD with another clock.
func (a *AMD) WithClock(clock func() time.Time) *AMD {
	return &AMD{lines: a.lines, seed: a.seed, clock: clock}
}

// Line returns the authorities of a product line, or nil.
func (a *AMD) Line(p snp.Product) *Line { return a.lines[p] }

// line is Line for callers that cannot go on without.
func (a *AMD) line(p snp.Product) (*Line, error) {
	line := a.lines[p]
	if line == nil {
		return nil, fmt.Errorf("this simulated AMD has no %s", p)
	}
	return line, nil
}
