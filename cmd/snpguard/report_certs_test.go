package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// TestCertsOfHostileDirectory puts everything but certificates beside those that
// are needed.
func TestCertsOfHostileDirectory(t *testing.T) {
	s := newSimulated(t, simtest.AMD(t), snp.Turin)
	flags := []string{"--insecure-trust-root", s.path("ark.pem"), "--certs", s.dir}
	for name, target := range map[string]string{"nowhere": "missing", "zero": "/dev/zero", "up": ".."} {
		if err := os.Symlink(target, s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	s.write("large.pem", bytes.Repeat(toPEM(s.ask), 200))
	s.verify(exitOK, "report.bin", flags...)

	// Ten thousand certificates are enough; each takes memory.
	many := bytes.Repeat(toPEM(s.ask), 60)
	for i := range maxPoolCerts/60 + 1 {
		s.write("many"+strconv.Itoa(i)+".pem", many)
	}
	code, _, stderr := runCLI(t, append([]string{"report", "verify", s.path("report.bin")}, flags...)...)
	if want := filepath.Base(s.dir) + ": more than 10000 certificates"; code != exitEnvironment || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
