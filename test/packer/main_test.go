//go:build e2e

// Package packer runs the plugin's components under the real Packer, as "make
// packer-test" builds and installs them.
package packer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// scratch is the directory in which everything of this run is.
var scratch string

func run(m *testing.M) (int, error) {
	var err error
	if scratch, err = os.MkdirTemp("", "snpguard-packer-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // a directory that stays is no failure
	for name, dir := range map[string]string{"snpguard": "../../cmd/snpguard", "snpguard-service": "../../service", "packer-plugin-qemu": "./qemu"} {
		if out, err := exec.Command("go", "build", "-tags", "e2e", "-o", filepath.Join(scratch, name), dir).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("go build %s: %w\n%s", dir, err, out)
		}
	}
	if err := installPlugins(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// installPlugins installs the plugin, and the stand-in for the qemu plugin.
func installPlugins() error {
	if err := os.CopyFS(plugins(), os.DirFS(filepath.Join(bin(), "packer-plugins"))); err != nil {
		return fmt.Errorf("%w: run \"make plugin\" first", err)
	}
	cmd := packer(scratch, "plugins", "install", "--path", filepath.Join(scratch, "packer-plugin-qemu"), "github.com/hashicorp/qemu")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install the stand-in for the qemu plugin: %w\n%s", err, out)
	}
	return nil
}

func bin() string {
	dir, err := filepath.Abs("../../bin")
	if err != nil {
		panic(err)
	}
	return dir
}

func plugins() string { return filepath.Join(scratch, "plugins") }

// packer returns a command that runs the real Packer in a directory.
func packer(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin(), "tools", "packer"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PACKER_PLUGIN_PATH="+plugins(), "CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1",
		"PACKER_CACHE_DIR="+filepath.Join(scratch, "cache"), "PACKER_CONFIG_DIR="+filepath.Join(scratch, "config"),
		"SNPGUARD_LOGIN="+filepath.Join(scratch, "no-login.json"), "SNPGUARD_TOKEN=")
	return cmd
}

// output runs Packer and returns what it says, without its colours.
func output(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	t.Logf("%s\n%s", strings.Join(cmd.Args[1:], " "), out)
	return string(out), err
}

// succeed is output of a run that has to succeed.
func succeed(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := output(t, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fail is output of a run that has to fail and to say why.
func fail(t *testing.T, cmd *exec.Cmd, why string) string {
	t.Helper()
	out, err := output(t, cmd)
	if err == nil || !strings.Contains(strings.Join(strings.Fields(out), " "), why) {
		t.Fatalf("%v, want a failure that says %q", err, why)
	}
	return out
}

// image returns the source image, built by "make images".
func image(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SNPGUARD_IMAGES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "snpguard", "images")
	}
	path := filepath.Join(dir, "debian.qcow2")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run \"make images\" first", err)
	}
	return path
}

// firmware writes the AmdSev build of OVMF to a file.
func firmware(t *testing.T) string {
	t.Helper()
	return write(t, t.TempDir(), "OVMF.amdsev.fd", vectors.MustRead(t, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"))
}

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// example returns the path of a template that users get.
func example(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../example", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// exists tells which of the files that match there are.
func exists(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sink keeps what a running program says, and closes seen when it has said a
// certain thing.
type sink struct {
	mu   sync.Mutex
	all  bytes.Buffer
	want string
	seen chan struct{}
}

var _ io.Writer = (*sink)(nil)

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(p)
	if s.want != "" && strings.Contains(s.all.String(), s.want) {
		close(s.seen)
		s.want = ""
	}
	return len(p), nil
}
