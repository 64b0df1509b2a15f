package kds_test

import (
	"bytes"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// An old archive cannot take a revocation back.
func TestImportOfOldCRL(t *testing.T) {
	w := filled(t)
	old := export(t, w.client())
	w.crl(sim.CRLBehaviour{Number: 2, Revoked: []*big.Int{w.amd.Line(snp.Milan).ASK.Certificate.SerialNumber}})
	w.time.pass(25 * time.Hour)
	c := w.client()
	if err := w.check(c); !errors.Is(err, kds.ErrRevoked) {
		t.Fatal(err)
	}
	newer := export(t, c)
	if _, err := c.Import(t.Context(), bytes.NewReader(old)); !errors.Is(err, kds.ErrCRLRollback) {
		t.Errorf("got %v, want %v", err, kds.ErrCRLRollback)
	}
	if err := w.check(w.client(offline)); !errors.Is(err, kds.ErrRevoked) {
		t.Errorf("after the import: got %v, want %v", err, kds.ErrRevoked)
	}
	// The other way round is what archives are for, also for a client that has the
	// old list in memory.
	site := newWorld(t)
	site.time.pass(2 * time.Hour)
	at := site.client(offline)
	if _, err := at.Import(t.Context(), bytes.NewReader(old)); err != nil {
		t.Fatal(err)
	}
	if err := site.check(at); err != nil {
		t.Fatal(err)
	}
	if _, err := at.Import(t.Context(), bytes.NewReader(newer)); err != nil {
		t.Fatal(err)
	}
	if err := site.check(at); !errors.Is(err, kds.ErrRevoked) {
		t.Errorf("got %v, want %v", err, kds.ErrRevoked)
	}
}

// A fetch date from the future would put off looking for a newer list.
func TestImportedDatesAreNotBelieved(t *testing.T) {
	w, site := filled(t), newWorld(t)
	members := edit(t, unpack(t, export(t, w.client())), func(e []map[string]any) []map[string]any {
		e[mCRL-1]["fetched_at"] = "2027-01-01T00:00:00Z"
		return e
	})
	c := site.client()
	if _, err := c.Import(t.Context(), bytes.NewReader(pack(t, members))); err != nil {
		t.Fatal(err)
	}
	site.time.pass(25 * time.Hour)
	if err := site.check(c); err != nil {
		t.Fatal(err)
	}
	site.wantRequests(1, "crl")
}
