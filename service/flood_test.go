package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// TestFloodOfForgedReports floods a service from one address, with nonces that it
// never made and with reports of chips that nobody has. Neither the audit log nor
// KDS feels it, and a guest without certificates gets its key meanwhile.
func TestFloodOfForgedReports(t *testing.T) {
	s := simulate(t)
	data := s.flags("--data", filepath.Join(t.TempDir(), "data"), "--rate-per-address", "10000")
	p := start(t, data...)
	c, l := login(t, p)
	image := register(t, c, l.IngestionKey, nil)
	if _, err := boot(t.Context(), c, image.launch(t, s.host), l.IdentityKey); err != nil {
		t.Fatal(err)
	}

	const nonces, chips = 50, 40
	for range nonces {
		request, err := image.launch(t, s.host).NewRequest(random(wire.NonceSize))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Unlock(t.Context(), request)
		checkDenied(t, err)
	}
	refused := 0
	for range chips {
		guest := image.launch(t, s.host)
		guest.WithCerts = false
		copy(guest.Report.ChipID[:], random(len(guest.Report.ChipID)))
		if _, err := boot(t.Context(), c, guest, l.IdentityKey); err == nil {
			t.Fatal("a forged report is given the key")
		} else if problem := new(wire.Problem); errors.As(err, &problem) && problem.Code == wire.CodeUnavailable {
			refused++
		}
	}
	if kds, ok := s.kds.Config.Handler.(*sim.KDS); !ok || refused == 0 || len(kds.Requests()) > chips-refused+3 {
		t.Errorf("%d requests to KDS for %d forged chips, %d of them refused", len(kds.Requests()), chips, refused)
	}

	guest := image.launch(t, s.host) // on a chip that was seen, though KDS was never asked for it
	guest.WithCerts = false
	vmk, err := boot(t.Context(), c, guest, l.IdentityKey)
	if err != nil || !bytes.Equal(vmk, image.VMK) {
		t.Errorf("the guest is starved: %v", err)
	}
	if _, body := p.get(t, "/metrics"); !strings.Contains(body, `snpguard_unlocks_total{outcome="denied",reason="nonce_forged"} 50`) ||
		strings.Contains(body, `snpguard_kds_refused_total{budget="unknown"} 0`) {
		t.Errorf("metrics\n%s", body)
	}
	p.stop(t)

	again := start(t, data...)
	l.URL = again.url
	if c, err = l.Client(); err != nil {
		t.Fatal(err)
	}
	forged := countDenials(t, c, "nonce_forged")
	if forged.full == 0 || forged.full > 10 || forged.full+forged.counted != nonces || forged.address != "127.0.0.1" {
		t.Errorf("of %d denials the log has %+v", nonces, forged)
	}
	if v, err := c.VerifyAudit(t.Context(), wire.AuditHead{}); err != nil || !v.Valid {
		t.Errorf("audit log: %+v, %v", v, err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return b
}

// denials are how many the log has in full, and counted.
type denials struct {
	full, counted int64
	address       string // of the last count
}

func countDenials(t *testing.T, c *client.Client, reason string) (d denials) {
	t.Helper()
	records, err := c.Audit(t.Context(), client.AuditFilter{Reason: reason})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Count == 0 {
			d.full++
			continue
		}
		d.counted += r.Count
		if d.address = r.Address; r.Details["first"] == "" || r.Details["last"] == "" {
			t.Errorf("a count says %+v", r.Details)
		}
	}
	return d
}
