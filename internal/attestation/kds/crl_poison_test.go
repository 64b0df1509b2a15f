package kds_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

func TestBadlySignedCRL(t *testing.T) {
	for name, signer := range map[string]func(*testing.T, *world) *sim.Authority{
		"impostor":      func(t *testing.T, _ *world) *sim.Authority { return simtest.Impostor(t).Line(snp.Milan).ARK },
		"other product": func(_ *testing.T, w *world) *sim.Authority { return w.amd.Line(snp.Genoa).ARK },
		// A trusted key under the name of another.
		"other name": func(_ *testing.T, w *world) *sim.Authority {
			return &sim.Authority{Key: w.amd.Line(snp.Milan).ARK.Key, Certificate: w.amd.Line(snp.Genoa).ARK.Certificate}
		},
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
