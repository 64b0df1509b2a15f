package main_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
)

// Sizes that the agent may have in bytes, as it is and as it goes into an initrd.
const (
	maxSize       = 10 << 20
	maxCompressed = 3<<20 + 768<<10
)

// build compiles the agent as the Makefile does, apart from what the flags add:
// without stripped it keeps its symbols.
func build(t *testing.T, dir, out string, flags ...string) []byte {
	t.Helper()
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// stripped is the rest of AGENT_FLAGS.
const stripped = "-ldflags=-s -w -buildid="

// copyModule copies what the agent is made of to another directory.
func copyModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"agent", "internal", "version"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "agent")
}

func TestReproducibleAndSmall(t *testing.T) {
	here := build(t, ".", filepath.Join(t.TempDir(), "agent"), stripped)
	there := build(t, copyModule(t), filepath.Join(t.TempDir(), "agent"), stripped)
	if !bytes.Equal(here, there) {
		t.Error("two directories give two agents")
	}
	var compressed bytes.Buffer
	z, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(here); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d compressed", len(here), compressed.Len())
	if len(here) > maxSize || compressed.Len() > maxCompressed {
		t.Errorf("%d bytes, %d compressed; at most %d and %d", len(here), compressed.Len(), maxSize, maxCompressed)
	}
}

// TestReleaseHasNoSimulation looks for the simulated AMD-SP among strings and
// symbols, and makes sure that it would find it.
func TestReleaseHasNoSimulation(t *testing.T) {
	traces := []string{
		aspport.PortName, "internal/sim/aspport.", "internal/report.Port", "simulated-amd-sp", "virtio-ports", "SNPQ",
	}
	release := build(t, ".", filepath.Join(t.TempDir(), "agent"))
	sim := build(t, ".", filepath.Join(t.TempDir(), "agent-sim"), "-tags=sim")
	for _, trace := range traces {
		if bytes.Contains(release, []byte(trace)) {
			t.Errorf("the release agent contains %q", trace)
		}
		if !bytes.Contains(sim, []byte(trace)) {
			t.Errorf("the simulated agent does not contain %q: nothing is proven", trace)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if dep = strings.TrimSpace(dep); strings.Contains(dep, "/internal/sim/") {
			t.Errorf("the release agent imports %s", dep)
		}
	}
}
