package kds_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

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
		"other product, by the right ASK": func(t *testing.T, w *world) []byte {
			return reissued(t, w, w.amd.Line(snp.Milan).ASK, func(c *x509.Certificate) { c.ExtraExtensions = genoaExtensions(t) })
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

// genoaExtensions are those of chip "a" that say that it is a Genoa.
func genoaExtensions(t *testing.T) []pkix.Extension {
	t.Helper()
	chip := milan("a")
	e := snp.Extensions{StructVersion: 1, ProductName: "Genoa", Product: snp.Genoa, TCB: chip.TCB, HardwareID: chip.ID[:]}
	out, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
