package kds_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
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
			if err := w.check(w.client(tc.mode)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
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

func TestBadlySignedCRL(t *testing.T) {
	for name, signer := range map[string]func(*testing.T, *world) *sim.Authority{
		"impostor":      func(t *testing.T, _ *world) *sim.Authority { return simtest.Impostor(t).Line(snp.Milan).ARK },
		"other product": func(_ *testing.T, w *world) *sim.Authority { return w.amd.Line(snp.Genoa).ARK },
		// The name of the ARK, but the ASK's key.
		"ASK": func(_ *testing.T, w *world) *sim.Authority {
			line := w.amd.Line(snp.Milan)
			return &sim.Authority{Key: line.ASK.Key, Certificate: line.ARK.Certificate}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.crl(sim.CRLBehaviour{Signer: signer(t, w)})
			for name, mode := range map[string]func(*kds.Config){"strict": func(*kds.Config) {}, "cached": cached} {
				if err := w.check(w.client(mode)); !errors.Is(err, kds.ErrCRLSignature) {
					t.Errorf("%s: got %v, want %v", name, err, kds.ErrCRLSignature)
				}
			}
			if _, err := w.cache.Get(t.Context(), crlKey(t)); !errors.Is(err, kds.ErrNotCached) {
				t.Errorf("the list is in the cache: %v", err)
			}
		})
	}
}

func TestPoisonedCRLs(t *testing.T) {
	for name, body := range map[string]func(*testing.T, *world) []byte{
		"nothing":     func(*testing.T, *world) []byte { return nil },
		"certificate": func(_ *testing.T, w *world) []byte { return w.amd.Line(snp.Milan).ARK.Certificate.Raw },
		"too large":   func(*testing.T, *world) []byte { return make([]byte, 10<<20+1) },
		"delta list": func(t *testing.T, w *world) []byte {
			return crlWith(t, w, func(l *x509.RevocationList) {
				l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
			})
		},
		"indirect list": func(t *testing.T, w *world) []byte {
			return crlWith(t, w, func(l *x509.RevocationList) {
				l.RevokedCertificateEntries = []x509.RevocationListEntry{{
					SerialNumber: big.NewInt(1), RevocationTime: w.time.Now(),
					ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}},
				}}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			data := body(t, w)
			w.kds.Set(func(b *sim.Behaviour) { b.Tamper = func(string, []byte) []byte { return data } })
			if err := w.check(w.client()); !errors.Is(err, kds.ErrAnswer) {
				t.Errorf("got %v, want %v", err, kds.ErrAnswer)
			}
		})
	}
}

// crlWith is a genuinely signed list with a change.
func crlWith(t *testing.T, w *world, change func(*x509.RevocationList)) []byte {
	t.Helper()
	ark := w.amd.Line(snp.Milan).ARK
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: w.time.Now(), NextUpdate: w.time.Now().AddDate(1, 0, 0),
		SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	change(list)
	der, err := x509.CreateRevocationList(rand.Reader, list, ark.Certificate, ark.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Signed by the ARK, but as AMD never does.
func TestCRLSignatureAlgorithm(t *testing.T) {
	w := newWorld(t)
	data := crlWith(t, w, func(l *x509.RevocationList) { l.SignatureAlgorithm = x509.SHA256WithRSA })
	w.kds.Set(func(b *sim.Behaviour) { b.Tamper = func(string, []byte) []byte { return data } })
	if err := w.check(w.client()); !errors.Is(err, kds.ErrCRLSignature) {
		t.Errorf("got %v, want %v", err, kds.ErrCRLSignature)
	}
}

// Whoever sits between here and KDS can serve an old list, from before the ASK
// was revoked. It is refused; the newer one in the cache serves.
func TestRolledBackCRL(t *testing.T) {
	day := 24 * time.Hour
	for name, old := range map[string]func(now time.Time) sim.CRLBehaviour{
		"lower number": func(now time.Time) sim.CRLBehaviour {
			return sim.CRLBehaviour{Number: 6, ThisUpdate: now, NextUpdate: now.Add(300 * day)}
		},
		"earlier date": func(now time.Time) sim.CRLBehaviour {
			return sim.CRLBehaviour{Number: 7, ThisUpdate: now.Add(-4 * day), NextUpdate: now.Add(300 * day)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			now := w.time.Now()
			ask := w.amd.Line(snp.Milan).ASK.Certificate.SerialNumber
			w.crl(sim.CRLBehaviour{Number: 7, ThisUpdate: now.Add(-day), NextUpdate: now.Add(30 * day), Revoked: []*big.Int{ask}})
			if err := w.check(w.client()); !errors.Is(err, kds.ErrRevoked) {
				t.Fatalf("got %v, want %v", err, kds.ErrRevoked)
			}
			w.crl(old(now))
			w.time.pass(25 * time.Hour) // time to look for a newer one
			if err := w.check(w.client()); !errors.Is(err, kds.ErrRevoked) {
				t.Errorf("got %v, want %v", err, kds.ErrRevoked)
			}
			w.wantRequests(2, "crl")
			if !strings.Contains(w.log.String(), kds.ErrCRLRollback.Error()) {
				t.Errorf("not reported: %s", w.log)
			}
			w.time.pass(30 * day) // the newer one has ended
			err := w.check(w.client())
			if !errors.Is(err, kds.ErrCRLStale) || !errors.Is(err, kds.ErrCRLRollback) {
				t.Errorf("got %v, want %v and %v", err, kds.ErrCRLStale, kds.ErrCRLRollback)
			}
		})
	}
}

// A list without a number cannot replace one with a number.
func TestCRLThatLosesItsNumber(t *testing.T) {
	w := newWorld(t)
	if err := w.check(w.client()); err != nil {
		t.Fatal(err)
	}
	w.time.pass(25 * time.Hour)
	data := withoutNumber(t, w)
	w.kds.Set(func(b *sim.Behaviour) { b.Tamper = func(string, []byte) []byte { return data } })
	if err := w.check(w.client()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(w.log.String(), kds.ErrCRLRollback.Error()) {
		t.Errorf("not reported: %s", w.log)
	}
}

// withoutNumber signs a list whose number is under another extension.
func withoutNumber(t *testing.T, w *world) []byte {
	t.Helper()
	der := crlWith(t, w, func(*x509.RevocationList) {})
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	oid, err := asn1.Marshal(asn1.ObjectIdentifier{2, 5, 29, 20})
	if err != nil {
		t.Fatal(err)
	}
	tbs := []byte(strings.Replace(string(list.RawTBSRevocationList), string(oid), "\x06\x03\x55\x1d\x7f", 1))
	return resignCRL(t, w, der, tbs)
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

func TestConfigRefused(t *testing.T) {
	w := newWorld(t)
	for name, cfg := range map[string]kds.Config{
		"no cache":      {Roots: rootsOf(w.amd)},
		"no roots":      {Cache: w.cache},
		"bad address":   {Cache: w.cache, Roots: rootsOf(w.amd), BaseURL: "kdsintf.amd.com"},
		"no stale time": {Cache: w.cache, Roots: rootsOf(w.amd), Revocation: kds.Revocation{Mode: kds.FailCached}},
		"no such mode":  {Cache: w.cache, Roots: rootsOf(w.amd), Revocation: kds.Revocation{Mode: 3}},
	} {
		if _, err := kds.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, m := range []kds.FailMode{kds.FailStrict, kds.FailCached, kds.FailOff} {
		if got, err := kds.ParseFailMode(m.String()); got != m || err != nil {
			t.Errorf("%s: got %s, %v", m, got, err)
		}
	}
	if _, err := kds.ParseFailMode("soft"); err == nil {
		t.Error("fail mode soft")
	}
}
