package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestWholeLife registers an image, launches it, unlocks it, disables it, and
// reads of all that in the audit log.
func TestWholeLife(t *testing.T) {
	s := simulate(t)
	p := start(t, s.flags("--data", filepath.Join(t.TempDir(), "data"))...)
	c, l := login(t, p)
	image := register(t, c, l.IngestionKey, nil)
	if !image.answer.Image.Simulated || len(image.answer.Release.Variants) != 2 {
		t.Errorf("registered %+v", image.answer)
	}

	guest := image.launch(t, s.host)
	vmk, err := boot(t.Context(), c, guest, l.IdentityKey)
	if err != nil || !bytes.Equal(vmk, image.VMK) {
		t.Fatalf("the guest has %x, %v", vmk, err)
	}

	again := image.launch(t, s.host)
	again.Report.ReportID = guest.Report.ReportID
	if again.Key, err = seal.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	_, err = boot(t.Context(), c, again, l.IdentityKey)
	checkDenied(t, err)

	off := false
	if _, err := c.PatchImage(t.Context(), image.ID, wire.ImagePatch{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	_, err = boot(t.Context(), c, image.launch(t, s.host), l.IdentityKey)
	checkDenied(t, err)

	records, err := c.Audit(t.Context(), client.AuditFilter{ImageID: image.ID.String()})
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for i := len(records) - 1; i >= 0; i-- {
		if records[i].Kind == "unlock" {
			story = append(story, records[i].Outcome+" "+records[i].Reason)
		}
	}
	if got := strings.Join(story, ", "); got != "granted , denied report_id_released, denied image_disabled" {
		t.Errorf("the audit log says %s", got)
	}
	v, err := c.VerifyAudit(t.Context(), wire.AuditHead{})
	if err != nil || !v.Valid {
		t.Errorf("audit log: %+v, %v", v, err)
	}

	var b bytes.Buffer
	request := client.BundleRequest{Image: image.ID, Release: image.answer.Release.ID, Format: bundle.TarGz}
	if err := c.Bundle(t.Context(), request, &b); err != nil {
		t.Fatal(err)
	}
	m, err := bundle.Verify(&b, l.IdentityKey)
	if err != nil || m.Release != image.answer.Release.ID || !m.Simulated {
		t.Errorf("bundle %+v, %v", m, err)
	}
	if _, body := p.get(t, "/metrics"); !strings.Contains(body, `snpguard_unlocks_total{outcome="granted",reason="granted"} 1`) ||
		!strings.Contains(body, `reason="report_id_released"} 1`) ||
		!strings.Contains(body, `snpguard_http_requests_total{method="POST",route="/v1/attestation/unlock",status="403"} 2`) {
		t.Errorf("metrics\n%s", body)
	}
}

// checkDenied wants the one sentence that says nothing.
func checkDenied(t *testing.T, err error) {
	t.Helper()
	var problem *wire.Problem
	if !errors.As(err, &problem) || problem.Code != wire.CodeDenied || problem.Status != 403 || problem.RequestID == "" {
		t.Fatalf("got %v, want a denial", err)
	}
	for _, word := range []string{"image", "disabled", "report", "nonce", "key"} {
		if strings.Contains(strings.ToLower(problem.Title+problem.Detail), word) {
			t.Errorf("the guest learns %q: %v", word, problem)
		}
	}
}
