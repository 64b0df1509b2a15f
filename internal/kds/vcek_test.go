package kds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

func TestVCEKOfEveryProduct(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	for _, p := range snp.Products() {
		chip := sim.NewChip(p, "a", snp.TCB{BootLoader: 1, TEE: 2, SNP: 3, Microcode: 213})
		if p == snp.Turin {
			chip.TCB.FMC = 4
		}
		cert, err := vcek(t.Context(), c, chip)
		if err != nil {
			t.Fatal(err)
		}
		want, err := w.amd.VCEK(chip)
		if err != nil {
			t.Fatal(err)
		}
		if !want.Key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("%s: not the chip's certificate", p)
		}
		chain, err := c.Chain(t.Context(), p, snp.SignedByVCEK)
		if err != nil || !chain.ASK.Equal(w.amd.Line(p).ASK.Certificate) || !chain.ARK.Equal(w.amd.Line(p).ARK.Certificate) {
			t.Errorf("%s: got chain %v, %v", p, chain, err)
		}
	}
	w.wantRequests(6, "") // a VCEK and a chain each
}

func TestVLEKChain(t *testing.T) {
	w := newWorld(t)
	chain, err := w.client().Chain(t.Context(), snp.Milan, snp.SignedByVLEK)
	if err != nil || !chain.ASK.Equal(w.amd.Line(snp.Milan).ASVK.Certificate) {
		t.Errorf("got chain %v, %v", chain, err)
	}
	w.wantRequests(1, "/vlek/v1/Milan/cert_chain")
}

// A fleet boots: 100 guests of one chip that nobody has asked about yet.
func TestOneRequestForManyCallers(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(w.amd))
	const callers = 100
	var started sync.WaitGroup
	started.Add(callers)
	w.kds.Set(func(b *sim.Behaviour) { b.Before = func(*http.Request) { started.Wait() } })
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			started.Done()
			if _, err := vcek(t.Context(), c, milan("a")); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	w.wantRequests(1, "")
}

// The caller that happened to come first goes away; the others do not notice.
func TestCancelledCallerLeavesTheOthers(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(w.amd))
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.kds.Set(func(b *sim.Behaviour) {
		b.Before = func(*http.Request) { once.Do(func() { close(asked) }); <-answer }
	})
	first, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := vcek(first, c, milan("a"))
		gone <- err
	}()
	<-asked
	second := make(chan error)
	go func() {
		_, err := vcek(t.Context(), c, milan("a"))
		second <- err
	}()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("first caller: got %v", err)
	}
	close(answer)
	if err := <-second; err != nil {
		t.Errorf("second caller: %v", err)
	}
	w.wantRequests(1, "")
}

func TestCachedChipWhileKDSIsDown(t *testing.T) {
	w := newWorld(t)
	if _, err := vcek(t.Context(), w.client(), milan("a")); err != nil {
		t.Fatal(err)
	}
	w.server.Close()
	for name, c := range map[string]*kds.Client{"down": w.client(), "offline": w.client(offline)} {
		if _, err := vcek(t.Context(), c, milan("a")); err != nil {
			t.Errorf("%s: cached chip: %v", name, err)
		}
		if _, err := c.Chain(t.Context(), snp.Milan, snp.SignedByVCEK); err != nil {
			t.Errorf("%s: cached chain: %v", name, err)
		}
		if _, err := vcek(t.Context(), c, milan("b")); !errors.Is(err, kds.ErrUnavailable) {
			t.Errorf("%s: other chip: got %v, want %v", name, err, kds.ErrUnavailable)
		}
	}
}

func TestUnknownChipIsRemembered(t *testing.T) {
	w := newWorld(t)
	unknown := true
	w.kds.Set(func(b *sim.Behaviour) { b.Unknown = func(sim.Chip) bool { return unknown } })
	c := w.client(known(w.amd))
	for range 3 {
		if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, kds.ErrUnknownChip) {
			t.Fatalf("got %v, want %v", err, kds.ErrUnknownChip)
		}
	}
	w.wantRequests(1, "")
	w.kds.Set(func(*sim.Behaviour) { unknown = false })
	w.time.pass(11 * time.Minute)
	if _, err := vcek(t.Context(), c, milan("a")); err != nil {
		t.Error(err)
	}
	w.wantRequests(2, "")
}

func TestHiddenChipID(t *testing.T) {
	w := newWorld(t)
	if _, err := w.client().VCEK(t.Context(), snp.Milan, [64]byte{}, snp.TCB{}); err == nil {
		t.Error("VCEK for chip ID zero")
	}
	w.wantRequests(0, "")
}

// Answers that are not what was asked for are refused and never cached.
func TestPoisonedAnswers(t *testing.T) {
	chip := milan("a")
	for name, body := range map[string]func(t *testing.T, w *world) []byte{
		"nothing":        func(*testing.T, *world) []byte { return nil },
		"no certificate": func(*testing.T, *world) []byte { return []byte("<html>") },
		"bytes behind it": func(t *testing.T, w *world) []byte {
			return append(issued(t, w.amd, chip), 0)
		},
		"too large": func(*testing.T, *world) []byte { return make([]byte, 1<<20+1) },
		"other chip": func(t *testing.T, w *world) []byte {
			return issued(t, w.amd, milan("b"))
		},
		"other TCB": func(t *testing.T, w *world) []byte {
			other := chip
			other.TCB.Microcode--
			return issued(t, w.amd, other)
		},
		"other product": func(t *testing.T, w *world) []byte {
			other := chip
			other.Product = snp.Genoa
			return issued(t, w.amd, other)
		},
		"impostor": func(t *testing.T, _ *world) []byte {
			return issued(t, simtest.Impostor(t), chip)
		},
		"VLEK": func(t *testing.T, w *world) []byte {
			vlek, err := w.amd.VLEK(snp.Milan, "csp.example", chip.TCB)
			if err != nil {
				t.Fatal(err)
			}
			return vlek.Certificate.Raw
		},
		"signed by the ASVK": func(t *testing.T, w *world) []byte {
			return reissued(t, w, w.amd.Line(snp.Milan).ASVK, func(*x509.Certificate) {})
		},
		"signed by the ARK": func(t *testing.T, w *world) []byte {
			return reissued(t, w, w.amd.Line(snp.Milan).ARK, func(*x509.Certificate) {})
		},
		"expired": func(t *testing.T, w *world) []byte {
			return reissued(t, w, w.amd.Line(snp.Milan).ASK, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) })
		},
		"extension missing": func(t *testing.T, w *world) []byte {
			return reissued(t, w, w.amd.Line(snp.Milan).ASK, func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[1:] })
		},
		"P-256 key": func(t *testing.T, w *world) []byte {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := w.amd.Line(snp.Milan).ASK.Issue(template(t, w), key.Public())
			if err != nil {
				t.Fatal(err)
			}
			return cert.Raw
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			data := body(t, w)
			w.kds.Set(func(b *sim.Behaviour) {
				b.Tamper = func(path string, body []byte) []byte {
					if strings.HasSuffix(path, "cert_chain") {
						return body
					}
					return data
				}
			})
			c := w.client()
			for range 2 {
				if cert, err := vcek(t.Context(), c, chip); !errors.Is(err, kds.ErrAnswer) || cert != nil {
					t.Errorf("got %v, want %v", err, kds.ErrAnswer)
				}
			}
			w.wantRequests(1, "SPL")
			if _, err := w.cache.Get(t.Context(), chipKey(t, chip)); !errors.Is(err, kds.ErrNotCached) {
				t.Errorf("the answer is in the cache: %v", err)
			}
		})
	}
}

// issued is the DER of the chip's VCEK from an AMD.
func issued(t *testing.T, amd *sim.AMD, chip sim.Chip) []byte {
	t.Helper()
	vek, err := amd.VCEK(chip)
	if err != nil {
		t.Fatal(err)
	}
	return vek.Certificate.Raw
}

// template is that of the VCEK of chip "a".
func template(t *testing.T, w *world) *x509.Certificate {
	t.Helper()
	vek, err := w.amd.VCEK(milan("a"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := snp.ParseExtensions(vek.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.amd.VEKTemplate(e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reissued is a changed VCEK of chip "a" that still names the ASK as its issuer.
func reissued(t *testing.T, w *world, by *sim.Authority, change func(*x509.Certificate)) []byte {
	t.Helper()
	vek, err := w.amd.VCEK(milan("a"))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := template(t, w)
	tmpl.RawIssuer = w.amd.Line(snp.Milan).ASK.Certificate.RawSubject
	change(tmpl)
	cert, err := by.Issue(tmpl, vek.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return cert.Raw
}

// What the cache returns is checked like an answer; what is damaged is reported
// and fetched again.
func TestDamagedCacheEntries(t *testing.T) {
	chip := milan("a")
	for name, data := range map[string]func(*testing.T, *world) []byte{
		"no certificate": func(*testing.T, *world) []byte { return []byte("x") },
		"other chip":     func(t *testing.T, w *world) []byte { return issued(t, w.amd, milan("b")) },
		"impostor":       func(t *testing.T, _ *world) []byte { return issued(t, simtest.Impostor(t), chip) },
		"bit flipped": func(t *testing.T, w *world) []byte {
			der := issued(t, w.amd, chip)
			der[len(der)-1] ^= 1
			return der
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.put(chipKey(t, chip), data(t, w))
			c := w.client()
			if _, err := vcek(t.Context(), c, chip); err != nil {
				t.Fatal(err)
			}
			w.wantRequests(1, "SPL")
			if !strings.Contains(w.log.String(), chipKey(t, chip).String()) {
				t.Errorf("not reported: %s", w.log)
			}
			if _, err := vcek(t.Context(), w.client(), chip); err != nil {
				t.Fatal(err)
			}
			w.wantRequests(1, "SPL")
		})
	}
}

func TestDamagedFileInCache(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.cache.Dir(), chipKey(t, milan("a")).String())
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vcek(t.Context(), w.client(), milan("a")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.log.String(), "damaged") {
		t.Errorf("not reported: %s", w.log)
	}
}

// An expired VCEK is replaced by the one that AMD has issued since.
func TestExpiredVCEKIsFetchedAgain(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	if _, err := vcek(t.Context(), c, milan("a")); err != nil {
		t.Fatal(err)
	}
	w.time.pass(7 * 366 * 24 * time.Hour)
	for name, c := range map[string]*kds.Client{"same client": c, "other client": w.client()} {
		cert, err := vcek(t.Context(), c, milan("a"))
		if err != nil || w.time.Now().After(cert.NotAfter) {
			t.Errorf("%s: got %v, %v", name, cert, err)
		}
	}
	w.wantRequests(2, "SPL")
}

// A disk that is full costs further requests later, not this verification.
func TestCacheThatCannotWrite(t *testing.T) {
	w := newWorld(t)
	c := w.client(func(cfg *kds.Config) { cfg.Cache = readOnly{w.cache} })
	for range 2 {
		if _, err := vcek(t.Context(), c, milan("a")); err != nil {
			t.Fatal(err)
		}
	}
	w.wantRequests(1, "SPL")
	if !strings.Contains(w.log.String(), "cannot be cached") {
		t.Errorf("not reported: %s", w.log)
	}
}

type readOnly struct{ kds.Cache }

func (readOnly) Put(context.Context, kds.Key, kds.Entry) error { return kds.ErrCacheFull }

// A storage that fails is not taken for an empty cache: KDS would pay for it.
func TestCacheThatCannotRead(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("storage is gone")
	c := w.client(func(cfg *kds.Config) { cfg.Cache = unreadable{w.cache, broken} })
	if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	w.wantRequests(0, "")
}

type unreadable struct {
	kds.Cache
	err error
}

func (u unreadable) Get(context.Context, kds.Key) (kds.Entry, error) { return kds.Entry{}, u.err }
