package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestCommandLine runs what does not serve.
func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--frobnicate"}, exitUsage, "unknown flag: --frobnicate"},
		{[]string{"start"}, exitUsage, `unexpected argument "start"`},
		{[]string{"--max-kernel", "many"}, exitUsage, "--max-kernel"},
		{[]string{"--crl", "maybe"}, exitUsage, "strict, cached or off"},
		{[]string{"--crl", "maybe"}, exitUsage, `Run "snpguard-service --help"`},
		{[]string{"--config", "/nonexistent"}, exitEnvironment, "/nonexistent"},
		{[]string{"--backup", "copy", "--data", t.TempDir()}, exitEnvironment, "no such file"},
		{[]string{"--help"}, exitOK, "SNPGUARD_ADMIN_LISTEN"},
		{[]string{"--help"}, exitOK, "Examples:"},
		{[]string{"--help"}, exitOK, "SIMULATED"},
		{[]string{"--version"}, exitOK, "snpguard-service 0."},
		{[]string{"completion", "bash"}, exitOK, "bash completion"},
		{[]string{"completion", "zsh"}, exitOK, "#compdef snpguard-service"},
		{[]string{"completion", "fish"}, exitOK, "complete -c snpguard-service"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), tc.args, &out, &errs)
		said := errs.String()
		if code == exitOK {
			said = out.String()
		}
		if code != tc.code || !strings.Contains(said, tc.says) {
			t.Errorf("%q: exit code %d, %s", tc.args, code, said)
		}
	}
}

// TestFlagsAreExplained wants a description of every flag, of its own kind: no full
// stop, and no capital where none belongs.
func TestFlagsAreExplained(t *testing.T) {
	newCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
			t.Errorf("--%s: %q", f.Name, f.Usage)
		}
	})
}

// TestManPage wants a page that names every flag and that groff takes without a
// word.
func TestManPage(t *testing.T) {
	dir := t.TempDir()
	if code := run(t.Context(), []string{"man", dir}, new(bytes.Buffer), new(bytes.Buffer)); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	page := filepath.Join(dir, "snpguard-service.8")
	if out, err := exec.CommandContext(t.Context(), "groff", "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff (Debian package groff-base): %v\n%s", err, out)
	}
	text, err := exec.CommandContext(t.Context(), "groff", "-man", "-Tutf8", "-P-cbou", page).Output()
	if err != nil {
		t.Fatal(err)
	}
	newCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(string(text), "--"+f.Name) {
			t.Errorf("--%s is missing", f.Name)
		}
	})
}
