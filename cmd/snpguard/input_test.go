package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// TestInputsEnd gives every flag that names a file what never ends or never
// begins.
func TestInputsEnd(t *testing.T) {
	dir := t.TempDir()
	fifo, zeros := filepath.Join(dir, "fifo"), filepath.Join(dir, "zeros")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// As much as no command may read of a key, a command line or an explanation.
	if err := os.WriteFile(zeros, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(zeros, 1<<40); err != nil {
		t.Fatal(err)
	}
	firmware := filepath.Join(dir, "firmware")
	if err := os.WriteFile(firmware, vectors.MustRead(t, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, cache := reportsPath("milan-v3-vcek-05b7438a3d.bin"), filepath.Join(dir, "cache")
	launch := []string{"measure", "--firmware", firmware, "--vcpus", "1", "--vcpu-type", "EPYC"}
	with := func(args []string, more ...string) []string { return append(args[:len(args):len(args)], more...) }
	for _, tc := range []struct {
		args    []string
		endless bool // hashed to the end, however long
		no      bool // what is too large is an answer, not a failure
	}{
		{args: []string{"measure", "--vcpus", "1", "--vcpu-type", "EPYC", "--firmware"}},
		{args: with(launch, "--vars-size", "4096", "--svsm")},
		{args: with(launch, "--kernel"), endless: true},
		{args: with(launch, "--kernel", report, "--initrd"), endless: true},
		{args: with(launch, "--kernel", report, "--cmdline-file")},
		{args: []string{"measure", "--diff", firmware}},
		{args: []string{"key-digest"}},
		{args: []string{"report", "show"}, no: true},
		{args: []string{"report", "verify"}, no: true},
		{args: []string{"report", "verify", report, "--vek"}, no: true},
		{args: []string{"report", "verify", report, "--ask"}, no: true},
		{args: []string{"report", "verify", report, "--ark"}, no: true},
		{args: []string{"report", "verify", report, "--insecure-trust-root"}},
		{args: []string{"report", "verify", report, "--policy"}},
		{args: []string{"kds", "prefetch", "--cache", cache}},
		{args: []string{"sim", "report", "--out", filepath.Join(dir, "out"), "--state"}},
	} {
		for _, path := range []string{fifo, "/dev/zero", dir, zeros} {
			if path == zeros && tc.endless {
				continue
			}
			want := exitEnvironment
			if path == zeros && tc.no {
				want = exitNo
			}
			args := with(tc.args, path)
			if code, stdout, stderr := runCLI(t, args...); code != want {
				t.Errorf("%q: exit code %d, want %d: %.200s%.200s", args, code, want, stdout, stderr)
			}
		}
	}
}

// A pipe with a writer is read, as a shell's <(...) has it.
func TestInputIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// For reading too, so that it opens without a reader.
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "text"); err != nil {
		t.Fatal(err)
	}
	f, err := openInput(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, []byte("text")) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A flag whose value a script forgot asks for what it says, not for nothing.
func TestFlagsWithoutValues(t *testing.T) {
	report := []string{"report", "verify", reportsPath("milan-v3-vcek-05b7438a3d.bin"), "--certs", reportsPath("certs")}
	for _, flag := range []string{"--report-data", "--nonce", "--measurement", "--policy", "--time", "--insecure-trust-root", "--vek", "--kds"} {
		code, stdout, stderr := runCLI(t, append(report[:len(report):len(report)], flag, "")...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, flag+" needs a value") {
			t.Errorf("%s: exit code %d: %s%s", flag, code, stdout, stderr)
		}
	}
}
