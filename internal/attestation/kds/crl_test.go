package kds_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

func crlKey(t *testing.T) kds.Key {
	t.Helper()
	key, err := kds.CRLKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// check asks whether Milan's ASK and ARK are revoked.
func (w *world) check(c *kds.Client) error {
	line := w.amd.Line(snp.Milan)
	return c.CheckRevocation(w.t.Context(), snp.Milan, snp.SignedByVCEK, line.ASK.Certificate, line.ARK.Certificate)
}

// crl makes the simulated KDS serve another list.
func (w *world) crl(b sim.CRLBehaviour) {
	w.kds.Set(func(k *sim.Behaviour) { k.CRL = b })
}

// cached is a fail mode that lets a list be a week out of date.
func cached(cfg *kds.Config) {
	cfg.Revocation = kds.Revocation{Mode: kds.FailCached, MaxStale: 7 * 24 * time.Hour}
}

func off(cfg *kds.Config) { cfg.Revocation.Mode = kds.FailOff }

func TestNotRevoked(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	for range 3 {
		if err := w.check(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.check(w.client(offline)); err != nil {
		t.Errorf("from the cache: %v", err)
	}
	w.wantRequests(1, "/vcek/v1/Milan/crl")
	line := w.amd.Line(snp.Milan)
	if err := c.CheckRevocation(t.Context(), snp.Milan, snp.SignedByVLEK, line.ASVK.Certificate); err != nil {
		t.Error(err)
	}
	w.wantRequests(1, "/vlek/v1/Milan/crl")
}

func TestRevoked(t *testing.T) {
	for name, revoked := range map[string]func(*sim.Line) *x509.Certificate{
		"ASK": func(l *sim.Line) *x509.Certificate { return l.ASK.Certificate },
		"ARK": func(l *sim.Line) *x509.Certificate { return l.ARK.Certificate },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			serial := revoked(w.amd.Line(snp.Milan)).SerialNumber
			w.crl(sim.CRLBehaviour{Revoked: []*big.Int{big.NewInt(1), serial}})
			if err := w.check(w.client()); !errors.Is(err, kds.ErrRevoked) {
				t.Errorf("strict: got %v, want %v", err, kds.ErrRevoked)
			}
			if err := w.check(w.client(cached)); !errors.Is(err, kds.ErrRevoked) {
				t.Errorf("cached: got %v, want %v", err, kds.ErrRevoked)
			}
			if err := w.check(w.client(off)); err != nil {
				t.Errorf("off: %v", err)
			}
		})
	}
}

// Serial numbers are the issuer's own: a VCEK has 0, and so may the ARK's list.
func TestRevocationIsByIssuer(t *testing.T) {
	w := newWorld(t)
	w.crl(sim.CRLBehaviour{Revoked: []*big.Int{big.NewInt(0)}})
	vek, err := w.amd.VCEK(milan("a"))
	if err != nil {
		t.Fatal(err)
	}
	line := w.amd.Line(snp.Milan)
	c := w.client()
	err = c.CheckRevocation(t.Context(), snp.Milan, snp.SignedByVCEK, vek.Certificate, line.ASK.Certificate)
	if err != nil {
		t.Error(err)
	}
	if err := c.CheckRevocation(t.Context(), snp.Milan, snp.SignedByVCEK, vek.Certificate); err == nil {
		t.Error("a check that covers no certificate passed")
	}
	if err := c.CheckRevocation(t.Context(), snp.Milan, snp.SignedByVCEK); err == nil {
		t.Error("a check of nothing passed")
	}
}

func TestStaleCRL(t *testing.T) {
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		this, next time.Duration // from now
		mode       func(*kds.Config)
		want       error
	}{
		"current, strict":          {-day, day, nil, nil},
		"ended, strict":            {-3 * day, -day, nil, kds.ErrCRLStale},
		"ended, cached":            {-3 * day, -day, cached, nil},
		"ended long ago, cached":   {-30 * day, -8 * day, cached, kds.ErrCRLStale},
		"ended long ago, off":      {-30 * day, -8 * day, off, nil},
		"from the future, strict":  {day, 2 * day, nil, kds.ErrCRLStale},
		"from the future, cached":  {day, 2 * day, cached, kds.ErrCRLStale},
		"clocks a minute apart":    {time.Minute, day, nil, nil},
		"ended just now, strict":   {-day, -time.Second, nil, kds.ErrCRLStale},
		"ends in a second, strict": {-day, time.Second, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			now := w.time.Now()
			w.crl(sim.CRLBehaviour{ThisUpdate: now.Add(tc.this), NextUpdate: now.Add(tc.next)})
			if tc.mode == nil {
				tc.mode = func(*kds.Config) {}
			}
			c := w.client(tc.mode)
			if err := w.check(c); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if _, err := c.CRL(t.Context(), snp.Milan, snp.SignedByVCEK); !errors.Is(err, tc.want) {
				t.Errorf("the list: got %v, want %v", err, tc.want)
			}
		})
	}
}

// A list that KDS does not renew is not asked for at every lookup.
func TestStaleCRLDoesNotHammer(t *testing.T) {
	for name, mode := range map[string]func(*kds.Config){"strict": func(*kds.Config) {}, "cached": cached} {
		w := newWorld(t)
		w.crl(sim.CRLBehaviour{ThisUpdate: w.time.Now().AddDate(0, 0, -3), NextUpdate: w.time.Now().AddDate(0, 0, -1)})
		c := w.client(mode)
		for range 10 {
			_ = w.check(c)
		}
		if got := len(w.requests("crl")); got > 2 {
			t.Errorf("%s: %d requests", name, got)
		}
	}
}

// Without a nextUpdate a list would be current for ever.
func TestCRLWithoutNextUpdate(t *testing.T) {
	w := newWorld(t)
	der := crlWith(t, w, func(*x509.RevocationList) {})
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(list.RawTBSRevocationList, &fields); err != nil {
		t.Fatal(err)
	}
	tbs, err := asn1.Marshal(slices.Delete(fields, 4, 5)) // version, algorithm, issuer, thisUpdate, nextUpdate
	if err != nil {
		t.Fatal(err)
	}
	data := resignCRL(t, w, der, tbs)
	w.kds.Set(func(b *sim.Behaviour) { b.Tamper = func(string, []byte) []byte { return data } })
	for name, mode := range map[string]func(*kds.Config){"strict": func(*kds.Config) {}, "cached": cached} {
		if err := w.check(w.client(mode)); !errors.Is(err, kds.ErrCRLStale) {
			t.Errorf("%s: got %v, want %v", name, err, kds.ErrCRLStale)
		}
	}
}

// A day later a newer list is fetched and its revocations count.
func TestCRLIsRenewed(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	if err := w.check(c); err != nil {
		t.Fatal(err)
	}
	w.crl(sim.CRLBehaviour{Number: 2, Revoked: []*big.Int{w.amd.Line(snp.Milan).ASK.Certificate.SerialNumber}})
	w.time.pass(23 * time.Hour)
	if err := w.check(c); err != nil {
		t.Errorf("before it is due: %v", err)
	}
	w.wantRequests(1, "crl")
	w.time.pass(2 * time.Hour)
	if err := w.check(c); !errors.Is(err, kds.ErrRevoked) {
		t.Errorf("got %v, want %v", err, kds.ErrRevoked)
	}
	if err := w.check(w.client(offline)); !errors.Is(err, kds.ErrRevoked) {
		t.Errorf("cached: got %v, want %v", err, kds.ErrRevoked)
	}
}

// While the cached list is current, a KDS that is down costs one attempt in ten
// minutes and nobody waits.
func TestCRLWhileKDSIsDown(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	if err := w.check(c); err != nil {
		t.Fatal(err)
	}
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1000, http.StatusInternalServerError })
	w.time.pass(25 * time.Hour)
	for range 10 {
		if err := w.check(c); err != nil {
			t.Fatal(err)
		}
	}
	w.wantRequests(2, "crl")
	if got := w.time.sleeps(); len(got) != 0 {
		t.Errorf("slept %v", got)
	}
	w.time.pass(11 * time.Minute)
	if err := w.check(c); err != nil {
		t.Fatal(err)
	}
	w.wantRequests(3, "crl")
	w.time.pass(366 * 24 * time.Hour)
	if err := w.check(c); !errors.Is(err, kds.ErrCRLStale) || !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("a year later: got %v, want %v and %v", err, kds.ErrCRLStale, kds.ErrUnavailable)
	}
}

func TestNoCRLAtAll(t *testing.T) {
	w := newWorld(t)
	w.server.Close()
	for name, mode := range map[string]func(*kds.Config){"strict": func(*kds.Config) {}, "cached": cached} {
		if err := w.check(w.client(mode)); !errors.Is(err, kds.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v", name, err, kds.ErrUnavailable)
		}
	}
	if err := w.check(w.client(off)); err != nil {
		t.Errorf("off: %v", err)
	}
}

// A cache that another wrote can have a list from the future too.
func TestFutureCRLInCache(t *testing.T) {
	w := newWorld(t)
	der, err := w.amd.Line(snp.Milan).CRL(sim.CRLBehaviour{ThisUpdate: w.time.Now().AddDate(0, 0, 1)}, w.time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.put(crlKey(t), der)
	for name, mode := range map[string]func(*kds.Config){"strict": func(*kds.Config) {}, "cached": cached} {
		if err := w.check(w.client(mode, offline)); !errors.Is(err, kds.ErrCRLStale) {
			t.Errorf("%s: got %v, want %v", name, err, kds.ErrCRLStale)
		}
	}
}

func TestDamagedCRLInCache(t *testing.T) {
	w := newWorld(t)
	der, err := simtest.Impostor(t).Line(snp.Milan).CRL(sim.CRLBehaviour{}, w.time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.put(crlKey(t), der)
	if err := w.check(w.client(offline)); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("offline: got %v, want %v", err, kds.ErrUnavailable)
	}
	if err := w.check(w.client()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(w.log.String(), crlKey(t).String()) {
		t.Errorf("not reported: %s", w.log)
	}
}
