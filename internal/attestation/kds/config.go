package kds

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Config says where a Client finds certificates and which ones it takes.
type Config struct {
	// BaseURL is the address of KDS; empty means AMD. Plain HTTP is allowed.
	BaseURL string

	// Offline makes the client use the cache alone.
	Offline bool

	// HTTP makes the requests; nil means a client with bounded headers. Redirects
	// are refused in any case.
	HTTP *http.Client

	// Cache keeps what was fetched. It is required.
	Cache Cache

	// Roots returns the ARKs that count for a product line; it is required. Nothing
	// that is not signed below one of them is cached or returned.
	Roots func(snp.Product) []*x509.Certificate

	// Known returns the ASKs or ASVKs that need not be fetched. Those that no root
	// signed are left out. It may be nil.
	Known func(snp.Product, snp.SigningKey) []*x509.Certificate

	Revocation Revocation
	Pace       Pace
	Budget     Budget

	// Seen tells of a key that is not cached whether its chip was seen before: with a
	// certificate at another TCB version, or in a report that proved genuine. Nil
	// means that no chip was.
	Seen func(context.Context, Key) (bool, error)

	// Refused is told each time a budget was used up, by its name. It may be nil.
	Refused func(budget string)

	// Log is told about damaged cache entries and about answers that were refused
	// while something older still served. Nil means nobody is.
	Log *slog.Logger

	// Clock and Sleep are the time; nil means the real one.
	Clock func() time.Time
	Sleep func(context.Context, time.Duration) error
}

// withDefaults fills in what was left out and refuses what cannot be.
func (c Config) withDefaults() (Config, error) {
	if c.Cache == nil || c.Roots == nil {
		return c, errors.New("a KDS client needs a cache and roots")
	}
	if c.BaseURL == "" {
		c.BaseURL = AMD
	}
	var err error
	if c.BaseURL, err = parseBaseURL(c.BaseURL); err != nil {
		return c, err
	}
	if c.Revocation, err = c.Revocation.withDefaults(); err != nil {
		return c, err
	}
	c.Pace, c.Budget = c.Pace.withDefaults(), c.Budget.withDefaults()
	if c.Seen == nil {
		c.Seen = func(context.Context, Key) (bool, error) { return false, nil }
	}
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	return c, nil
}
