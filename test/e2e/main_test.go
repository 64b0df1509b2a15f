//go:build e2e

// Package e2e converts real images, boots them in QEMU with a simulated AMD-SP
// and looks at what comes out, with the programs as users have them.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// scratch is the directory in which everything of this run is. The converted
// images are shared between tests.
var scratch string

func run(m *testing.M) (int, error) {
	var err error
	if scratch, err = os.MkdirTemp("", "snpguard-e2e-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // a directory that stays is no failure
	defer stopWorld()
	if err := os.Setenv("SNPGUARD_LOGIN", loginFile()); err != nil {
		return 0, err
	}
	if err := setParallel(); err != nil {
		return 0, err
	}
	if err := buildPrograms(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// guestsAtOnce is how many guests run beside each other where nothing else is asked
// for: most of them wait, for a deadline or after a denial.
const guestsAtOnce = "4"

func setParallel() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", guestsAtOnce)
}

// buildPrograms compiles what users have: the command, the service and the agents.
func buildPrograms() error {
	bin := filepath.Join(scratch, "bin")
	for _, args := range [][]string{
		{"-o", bin + "/", "../../cmd/snpguard"},
		{"-o", filepath.Join(bin, "snpguard-service"), "../../service"},
		{"-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(bin, "snpguard-agent"), "../../agent"},
		{"-trimpath", "-ldflags", "-s -w", "-tags", "sim", "-o", filepath.Join(bin, "snpguard-agent-sim"), "../../agent"},
		{"-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(bin, "probe"), "./probe"},
	} {
		cmd := exec.Command("go", append([]string{"build"}, args...)...)
		if last := args[len(args)-1]; strings.Contains(last, "agent") || strings.Contains(last, "probe") {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// program names one of the built programs.
func program(name string) string { return filepath.Join(scratch, "bin", name) }

// output runs a command that has to succeed and returns what it prints.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// snpguard runs the command line program.
func snpguard(t testing.TB, args ...string) string {
	t.Helper()
	return output(t, program("snpguard"), args...)
}

// image returns a source image, built by "make images".
func image(t testing.TB, kind string) string {
	t.Helper()
	dir := os.Getenv("SNPGUARD_IMAGES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "snpguard", "images")
	}
	path := filepath.Join(dir, kind+".qcow2")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run \"make images\" first", err)
	}
	return path
}

// once keeps one result for each key.
type once[T any] struct {
	mu   sync.Mutex
	made map[string]T
}

func (o *once[T]) get(key string, make1 func() T) T {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v, ok := o.made[key]; ok {
		return v
	}
	if o.made == nil {
		o.made = map[string]T{}
	}
	v := make1()
	o.made[key] = v
	return v
}

// hashFile returns the SHA-256 of a file of the host.
func hashFile(t testing.TB, path string) string {
	t.Helper()
	return hashOf(t, os.DirFS(filepath.Dir(path)), filepath.Base(path))
}
