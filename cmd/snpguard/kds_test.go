package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// run runs a kds command on a cache of the test's own.
func (w kdsWorld) run(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	return runCLI(w.t, append([]string{"kds"}, append(args, "--insecure-trust-root", w.path("ark.pem"), "--cache", w.path("cache"))...)...)
}

func TestKDSFetchAnswersNo(t *testing.T) {
	w := newKDSWorld(t, snp.Milan)
	w.kds.Set(func(b *sim.Behaviour) { b.Unknown = func(sim.Chip) bool { return true } })
	code, stdout, stderr := w.run("fetch", "--report", w.path("report.bin"), "--kds", w.server.URL)
	if code != exitNo || stdout != "" || !strings.Contains(stderr, "AMD KDS does not know this chip") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestKDSFetchVersion2(t *testing.T) {
	w := newKDSWorld(t, snp.Genoa)
	w.write("v2.bin", w.sign(func(r *snp.Report) { r.Version, r.CPUID = 2, nil }))
	code, stdout, stderr := w.run("fetch", "--report", w.path("v2.bin"), "--product", "Genoa", "--kds", w.server.URL)
	if code != exitOK || !strings.HasPrefix(stdout, "Genoa,") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// A host that hides the chip ID, and one that lies about it.
func TestKDSFetchOddReports(t *testing.T) {
	w := newKDSWorld(t, snp.Turin)
	for name, change := range map[string]func(*snp.Report){
		"hidden chip ID":  func(r *snp.Report) { r.ChipID = [snp.ChipIDSize]byte{} },
		"long chip ID":    func(r *snp.Report) { r.ChipID[20] = 1 },
		"reserved TCB":    func(r *snp.Report) { r.ReportedTCB[4] = 1 },
		"unknown product": func(r *snp.Report) { r.CPUID.Family = 0x1B },
	} {
		w.write("odd.bin", w.sign(change))
		if code, _, stderr := w.run("fetch", "--report", w.path("odd.bin"), "--kds", w.server.URL); code != exitEnvironment {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
	}
	if got := w.kds.Requests(); len(got) != 0 {
		t.Errorf("requests %q", got)
	}
}

func TestKDSPrefetchOutcomes(t *testing.T) {
	w := newKDSWorld(t, snp.Milan)
	gone := sim.NewChip(snp.Milan, "gone", w.chip.TCB)
	bad := sim.NewChip(snp.Milan, "bad", w.chip.TCB)
	list := w.write("chips.txt", []byte(chipLine(snp.Milan, w.chip.ID, w.chip.TCB)+"\n"+chipLine(snp.Milan, gone.ID, gone.TCB)+"\n"))
	w.kds.Set(func(b *sim.Behaviour) {
		b.Unknown = func(c sim.Chip) bool { return c.ID == gone.ID }
		b.Tamper = func(path string, body []byte) []byte {
			if strings.Contains(path, strings.Split(chipLine(snp.Milan, bad.ID, bad.TCB), ",")[1]) {
				return []byte("\x1b[2J")
			}
			return body
		}
	})
	code, stdout, stderr := w.run("prefetch", list, "--interval", "0s", "--kds", w.server.URL)
	if code != exitNo || strings.Count(stdout, "fetched") != 3 || strings.Count(stdout, "unknown") != 1 || !strings.Contains(stderr, "1 unknown") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	list = w.write("chips.txt", []byte(chipLine(snp.Milan, bad.ID, bad.TCB)))
	code, stdout, stderr = w.run("prefetch", list, "--no-crl", "--interval", "0s", "--kds", w.server.URL)
	if code != exitEnvironment || !strings.Contains(stdout, "failed  vcek-Milan-") || strings.Contains(stdout+stderr, "\x1b") {
		t.Errorf("exit code %d: %q%q", code, stdout, stderr)
	}
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1, http.StatusBadRequest })
	list = w.write("chips.txt", []byte("Turin,0102030405060708,fmc=1,bootloader=2,tee=3,snp=4,microcode=5"))
	if code, _, stderr := w.run("prefetch", list, "--kds", w.server.URL); code != exitEnvironment || !strings.Contains(stderr, "400") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What is in the cache is shown as it is, however bad.
func TestKDSStatusOfBadEntries(t *testing.T) {
	w := newKDSWorld(t, snp.Milan)
	if code, _, stderr := w.run("fetch", "--report", w.path("report.bin"), "--kds", w.server.URL); code != exitOK {
		t.Fatal(stderr)
	}
	files, err := os.ReadDir(w.path("cache"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	old, err := w.amd.Line(snp.Milan).CRL(sim.CRLBehaviour{}, mustTime(t, "2020-01-01T00:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("cache/crl-Milan-vcek.der", old)
	w.write("cache/"+files[2].Name(), []byte("x"))
	if err := os.Truncate(filepath.Join(w.path("cache"), files[0].Name()), 0); err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := w.run("status", "--json")
	var entries []shownEntry
	if err := json.Unmarshal([]byte(stdout), &entries); err != nil || len(entries) != 3 {
		t.Fatalf("%v: %s", err, stdout)
	}
	for _, e := range entries {
		if e.Usable || e.Problem == "" {
			t.Errorf("got %+v", e)
		}
	}
	code, text, _ := w.run("status")
	if code != exitOK || strings.Count(text, "NOT USABLE") != 2 || strings.Count(text, "NOT CURRENT") != 1 {
		t.Errorf("exit code %d: %s", code, text)
	}
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
