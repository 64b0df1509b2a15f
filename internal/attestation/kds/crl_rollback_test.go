package kds_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

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
