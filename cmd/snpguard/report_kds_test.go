package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// kdsWorld is a simulated AMD with its KDS, and a cache of the test's own.
type kdsWorld struct {
	*simulated
	kds    *sim.KDS
	server *httptest.Server
}

func newKDSWorld(t *testing.T, p snp.Product) kdsWorld {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	kds := sim.NewKDS(simtest.AMD(t))
	w := kdsWorld{newSimulated(t, simtest.AMD(t), p), kds, httptest.NewServer(kds)}
	t.Cleanup(w.server.Close)
	return w
}

// fetch runs the command now, since KDS issues certificates now.
func (w kdsWorld) fetch(report string) (code int, stdout, stderr string) {
	w.t.Helper()
	return runCLI(w.t, "report", "verify", w.path(report), "--insecure-trust-root", w.path("ark.pem"), "--kds", w.server.URL)
}

func TestVerifyWithKDS(t *testing.T) {
	for _, p := range snp.Products() {
		t.Run(string(p), func(t *testing.T) {
			w := newKDSWorld(t, p)
			if code, stdout, stderr := w.fetch("report.bin"); code != exitOK {
				t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
			}
			// Chain, VCEK and CRL.
			if requests := w.kds.Requests(); len(requests) != 3 {
				t.Errorf("%d requests: %q", len(requests), requests)
			}
			// What is cached needs no KDS.
			w.server.Close()
			if code, stdout, stderr := w.fetch("report.bin"); code != exitOK {
				t.Errorf("with KDS down: exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

func TestVerifyWithKDSVersion2(t *testing.T) {
	w := newKDSWorld(t, snp.Milan)
	w.write("v2.bin", w.sign(func(r *snp.Report) { r.Version, r.CPUID = 2, nil }))
	if code, stdout, stderr := w.fetch("v2.bin"); code != exitOK || !strings.Contains(stdout, "Milan-B0") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	// A chip of Genoa is none that Milan's KDS knows.
	g := newKDSWorld(t, snp.Genoa)
	g.kds.Set(func(b *sim.Behaviour) { b.Unknown = func(c sim.Chip) bool { return c.Product == snp.Milan } })
	g.write("ark.pem", append(toPEM(g.ark), toPEM(w.ark)...))
	g.write("v2.bin", g.sign(func(r *snp.Report) { r.Version, r.CPUID = 2, nil }))
	if code, stdout, stderr := g.fetch("v2.bin"); code != exitOK || !strings.Contains(stdout, "product        Genoa") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestVerifyVLEKWithKDS takes the ASVK from KDS, which has no VLEKs.
func TestVerifyVLEKWithKDS(t *testing.T) {
	w := newKDSWorld(t, snp.Milan)
	w.amd = simtest.AMD(t)
	vlek, err := w.amd.VLEK(snp.Milan, "CN=csp.example", w.chip.TCB)
	if err != nil {
		t.Fatal(err)
	}
	w.vek = vlek
	report := w.sign(func(r *snp.Report) { r.SigningKey, r.ChipID = snp.SignedByVLEK, [snp.ChipIDSize]byte{} })
	w.write("vlek.bin", append(bytes.Clone(report), (&snp.CertTable{VLEK: vlek.Certificate.Raw}).Bytes()...))
	if code, stdout, stderr := w.fetch("vlek.bin"); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	w.write("bare.bin", report)
	if code, stdout, _ := w.fetch("bare.bin"); code != exitNo || !strings.Contains(stdout, "comes with the report and not from KDS") {
		t.Errorf("without the VLEK: exit code %d: %s", code, stdout)
	}
}

func TestVerifyRefusedWithKDS(t *testing.T) {
	w := newKDSWorld(t, snp.Turin)
	for _, tc := range []struct {
		name   string
		report []byte
		before func(*sim.Behaviour)
		code   int
		want   string
	}{
		{"unknown chip", w.sign(nil), func(b *sim.Behaviour) { b.Unknown = func(sim.Chip) bool { return true } }, exitNo, "no_certificate"},
		{"revoked ASK", w.sign(nil), func(b *sim.Behaviour) {
			b.CRL.Revoked = append(b.CRL.Revoked, w.amd.Line(snp.Turin).ASK.Certificate.SerialNumber)
		}, exitNo, "certificate_revoked"},
		{"altered", flip(w.sign(nil), 0x50), nil, exitNo, "signature"},
		{"unknown product", w.sign(func(r *snp.Report) { r.CPUID.Model = 0xFF }), nil, exitNo, "product"},
		{"long chip ID", w.sign(func(r *snp.Report) { r.ChipID[8] = 1 }), nil, exitNo, "chip_id"},
		{"masked chip ID", w.sign(func(r *snp.Report) { r.ChipID = [snp.ChipIDSize]byte{} }), nil, exitNo, "chip_id_masked"},
		{"reserved TCB", w.sign(func(r *snp.Report) { r.ReportedTCB[5] = 1 }), nil, exitNo, "tcb_reserved"},
		{"another's TCB", w.sign(func(r *snp.Report) { r.ReportedTCB[7]++ }), nil, exitNo, "signature"},
		{"garbage from KDS", w.sign(nil), func(b *sim.Behaviour) { b.Tamper = func(string, []byte) []byte { return []byte("garbage") } }, exitEnvironment, "not an answer of AMD KDS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			if tc.before != nil {
				w.kds.Set(tc.before)
				t.Cleanup(func() { w.kds.Set(func(b *sim.Behaviour) { *b = sim.Behaviour{} }) })
			}
			w.write("wrong.bin", tc.report)
			code, stdout, stderr := w.fetch("wrong.bin")
			if code != tc.code || !strings.Contains(stdout+stderr, tc.want) {
				t.Errorf("exit code %d, want %d with %s: %s%s", code, tc.code, tc.want, stdout, stderr)
			}
		})
	}
}

// The host hands on the certificates, so a revoked one comes with the report.
func TestVerifyRevokedOfTable(t *testing.T) {
	w := newKDSWorld(t, snp.Genoa)
	line := w.amd.Line(snp.Genoa)
	table := snp.CertTable{VCEK: w.vek.Certificate.Raw, ASK: w.ask, ARK: w.ark}
	w.write("extended.bin", append(w.sign(nil), table.Bytes()...))
	if code, stdout, stderr := w.fetch("extended.bin"); code != exitOK || stderr != "" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if requests := w.kds.Requests(); len(requests) != 1 || !strings.HasSuffix(requests[0], "/vcek/v1/Genoa/crl") {
		t.Errorf("asked for more than the revocation list: %q", requests)
	}

	w.kds.Set(func(b *sim.Behaviour) { b.CRL.Revoked = append(b.CRL.Revoked, line.ASK.Certificate.SerialNumber) })
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if code, stdout, stderr := w.fetch("extended.bin"); code != exitNo || !strings.Contains(stdout, "certificate_revoked") {
		t.Errorf("revoked: exit code %d: %s%s", code, stdout, stderr)
	}
	w.server.Close()
	if code, stdout, stderr := w.fetch("extended.bin"); code != exitNo || !strings.Contains(stdout, "certificate_revoked") {
		t.Errorf("revoked, with KDS down: exit code %d: %s%s", code, stdout, stderr)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if code, stdout, stderr := w.fetch("extended.bin"); code != exitOK || !strings.Contains(stderr, "NOT CHECKED") {
		t.Errorf("with KDS down: exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestVerifyKDSDown(t *testing.T) {
	w := newKDSWorld(t, snp.Milan)
	w.server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var out, errOut bytes.Buffer
	code := run(ctx, []string{"report", "verify", w.path("report.bin"), "--insecure-trust-root", w.path("ark.pem"), "--kds", w.server.URL},
		strings.NewReader(""), &out, &errOut)
	if code != exitEnvironment || out.Len() != 0 || errOut.Len() == 0 {
		t.Errorf("exit code %d, want %d: %s%s", code, exitEnvironment, out.String(), errOut.String())
	}
	if code, _, stderr := runCLI(t, "report", "verify", w.path("report.bin"), "--kds", "ftp://kds.example"); code != exitUsage {
		t.Errorf("exit code %d, want %d: %s", code, exitUsage, stderr)
	}
}
