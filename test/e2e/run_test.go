//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// feed runs a program that has to succeed with something to read.
func feed(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Exit codes of snpguard.
const (
	exitUsage       = 2
	exitEnvironment = 3
)

// convertCommand is a conversion with the simulated agent and the test's service.
func convertCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	w := theService(t)
	cmd := exec.Command(program("snpguard"), append([]string{
		"convert", "--firmware", firmware(t), "--service", w.guestURL, "--simulate", "--agent-path", program("snpguard-agent-sim"),
	}, args...)...)
	cmd.Env = append(os.Environ(), "SNPGUARD_LOGIN="+loginFile(), "LC_ALL=C")
	return cmd
}

// convertOdd converts an image that has to be taken.
func convertOdd(t testing.TB, source string, args ...string) *conversion {
	t.Helper()
	return convertFed(t, "", source, args...)
}

// convertFed does so with something to read.
func convertFed(t testing.TB, stdin, source string, args ...string) *conversion {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &conversion{Image: filepath.Join(dir, "image"), Staging: filepath.Join(dir, "staging"), Recovery: identity}
	cmd := convertCommand(t, append([]string{
		"--in", source, "--out", c.Image, "--staging", c.Staging, "--recovery-recipient", identity.Recipient().String(),
	}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if c.Conversion, err = staging.Read(c.Staging); err != nil {
		t.Fatal(err)
	}
	return c
}

// refused runs a conversion that has to fail with an exit code and one line of
// an error, and returns that line.
func refused(t testing.TB, code int, args ...string) string {
	t.Helper()
	cmd, tmp := convertCommand(t, args...), t.TempDir()
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	empty(t, tmp)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Fatalf("ended with %v, want exit code %d\n%s", err, code, out)
	}
	var said []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "==>") && !strings.HasPrefix(line, "    ") {
			said = append(said, strings.TrimSuffix(line, "\n"))
		}
	}
	if code == exitUsage && len(said) > 1 {
		said = said[:len(said)-1] // where to find help
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "snpguard: ") {
		t.Fatalf("want one line of an error, got\n%s", out)
	}
	return said[0]
}

// empty fails unless a directory holds nothing.
func empty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s holds %v, %v", dir, entries, err)
	}
}

// readFile returns a file of a root.
func readFile(t testing.TB, root rootfs.Volume, name string) string {
	t.Helper()
	content, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// namesIn lists a directory.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
