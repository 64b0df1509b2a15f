//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// conversionSteps are what a conversion says that it does, each a moment to be interrupted
// at.
func conversionSteps() []string {
	return []string{"Read ", "Choose what to boot", "Change the root", "Encrypt the root", "Write "}
}

// oddSource is one small image for tests that do not look into it.
func oddSource(t *testing.T) string {
	t.Helper()
	return gptDisk(t, rootPart(t, oddTree(t)))
}

// stopAt starts a conversion and sends it a signal some time after it has come to
// a step. It returns how it ended and what it said.
func stopAt(t *testing.T, cmd *exec.Cmd, step string, after time.Duration, signal os.Signal) (string, error) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines, came := bufio.NewReader(stderr), false
	for {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if strings.HasPrefix(line, "==> "+step) {
			came = true
			time.Sleep(after)
			cmd.Process.Signal(signal) //nolint:errcheck // it may be done already
		}
		if err != nil {
			break
		}
	}
	if !came {
		t.Errorf("it never came to %q:\n%s", step, said.String())
	}
	return said.String(), cmd.Wait()
}

// Ctrl-C at any moment leaves nothing, or everything when it came too late.
func TestInterrupted(t *testing.T) {
	source := oddSource(t)
	before := hashFile(t, source)
	for i, step := range conversionSteps() {
		for _, after := range []time.Duration{0, 40 * time.Millisecond} {
			dir, tmp := t.TempDir(), t.TempDir()
			cmd := convertCommand(t, "--in", source, "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "staging"))
			cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
			said, err := stopAt(t, cmd, step, after, os.Interrupt)
			var exit *exec.ExitError
			switch {
			case err == nil: // it was done before it heard of it
				if i == 0 && after == 0 {
					t.Error("it never heard of it")
				}
				if _, err := staging.Read(filepath.Join(dir, "staging")); err != nil {
					t.Errorf("at %q: %v", step, err)
				}
			case errors.As(err, &exit) && exit.ExitCode() == exitEnvironment:
				if !strings.HasSuffix(said, "snpguard: interrupted: no image was made\n") {
					t.Errorf("at %q: %s", step, said)
				}
				empty(t, dir)
			default:
				t.Errorf("at %q: %v\n%s", step, err, said)
			}
			empty(t, tmp)
		}
	}
	if hashFile(t, source) != before {
		t.Error("the source was changed")
	}
}

// What a killed conversion leaves has no final name, and goes with the next one.
func TestKilled(t *testing.T) {
	source := oddSource(t)
	before := hashFile(t, source)
	dir, tmp := t.TempDir(), t.TempDir()
	image, staged := filepath.Join(dir, "image"), filepath.Join(dir, "staging")
	for _, step := range conversionSteps()[:4] {
		for _, after := range []time.Duration{0, 60 * time.Millisecond} {
			cmd := convertCommand(t, "--in", source, "--out", image, "--staging", staged)
			cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
			if _, err := stopAt(t, cmd, step, after, os.Kill); err == nil {
				t.Fatalf("at %q: it was not killed", step)
			}
			for _, path := range []string{image, staged} {
				if _, err := os.Lstat(path); err == nil {
					t.Errorf("at %q: %s is there", step, path)
				}
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 2 {
				t.Errorf("at %q: what the one before has left is still there: %v, %v", step, left, err)
			}
		}
	}
	cmd := convertCommand(t, "--in", source, "--out", image, "--staging", staged)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left := namesIn(t, dir); !slices.Equal(left, []string{"image", "staging"}) {
		t.Errorf("left: %q", left)
	}
	if hashFile(t, source) != before {
		t.Error("the source was changed")
	}
}

// A full disk ends the conversion wherever it is met.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test mounts a small file system and has to run as root")
	}
	source := oddSource(t)
	for _, mib := range []int{1, 15, 30, 45, 60} {
		t.Run(fmt.Sprintf("%d MiB", mib), func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dM", mib)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, 0); err != nil {
					t.Error(err)
				}
			})
			said := refused(t, exitEnvironment, "--in", source, "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "staging"))
			if !strings.Contains(strings.ToLower(said), "no space left") {
				t.Errorf("does not say that the disk is full: %s", said)
			}
			empty(t, dir)
		})
	}
}

// What is there stays unless it may be replaced, and stays until then.
func TestExistingOutputs(t *testing.T) {
	source := oddSource(t)
	before := hashFile(t, source)
	dir := t.TempDir()
	image, staged := filepath.Join(dir, "image"), filepath.Join(dir, "staging")
	args := []string{"--in", source, "--out", image, "--staging", staged}
	write(t, dir, "image", "precious")
	if said := refused(t, exitEnvironment, args...); !strings.Contains(said, "--out: "+image+": file already exists; --force replaces it") {
		t.Error(said)
	}
	write(t, dir, "staging/thesis.tex", "precious")
	if said := refused(t, exitUsage, append(args, "--force")...); !strings.Contains(said, "is not replaced") {
		t.Error(said)
	}
	if got, err := os.ReadFile(filepath.Join(staged, "thesis.tex")); err != nil || string(got) != "precious" {
		t.Errorf("%q, %v", got, err)
	}
	remove(t, staged)
	for range 2 {
		if out, err := convertCommand(t, append(args, "--force")...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if got := namesIn(t, dir); !slices.Equal(got, []string{"image", "staging"}) {
		t.Errorf("left %q", got)
	}
	// One that fails leaves the older ones.
	then := hashFile(t, image)
	refused(t, exitEnvironment, append(args, "--force", "--kernel", "9.9")...)
	if hashFile(t, image) != then {
		t.Error("the older image was changed")
	}
	if _, err := staging.Read(staged); err != nil {
		t.Error(err)
	}
	// The source and its directory are never replaced.
	for _, other := range [][]string{
		{"--in", source, "--out", source, "--staging", staged, "--force"},
		{"--in", source, "--out", image, "--staging", filepath.Dir(source), "--force"},
	} {
		refused(t, exitUsage, other...)
	}
	if hashFile(t, source) != before {
		t.Error("the source was changed")
	}
}

// Places that cannot be written to are named.
func TestUnwritable(t *testing.T) {
	source, dir := oddSource(t), t.TempDir()
	if said := refused(t, exitEnvironment, "--in", source, "--out", "/proc/image", "--staging", filepath.Join(dir, "staging")); !strings.Contains(said, "--out: ") || !strings.Contains(said, "/proc") {
		t.Error(said)
	}
	if said := refused(t, exitEnvironment, "--in", source, "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "no/staging")); !strings.Contains(said, "--staging: ") {
		t.Error(said)
	}
	empty(t, dir)
}

// Two conversions of one image, in one directory, do not disturb each other; of
// two with the same name one wins.
func TestSideBySide(t *testing.T) {
	root := rootPart(t, oddTree(t))
	source := gptDisk(t, root)
	dir := t.TempDir()
	start := func(name string) (*exec.Cmd, *bytes.Buffer) {
		cmd := convertCommand(t, "--in", source, "--out", filepath.Join(dir, name), "--staging", filepath.Join(dir, name+".staging"))
		var said bytes.Buffer
		cmd.Stderr, cmd.Stdout = &said, io.Discard
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &said
	}
	a, saidA := start("a")
	b, saidB := start("b")
	again, saidAgain := start("b")
	if err := a.Wait(); err != nil {
		t.Errorf("%v\n%s", err, saidA)
	}
	first, second := b.Wait(), again.Wait()
	if (first == nil) == (second == nil) {
		t.Errorf("of two with one name: %v, %v\n%s\n%s", first, second, saidB, saidAgain)
	}
	if got := namesIn(t, dir); !slices.Equal(got, []string{"a", "a.staging", "b", "b.staging"}) {
		t.Errorf("left %q", got)
	}
	for _, name := range []string{"a", "b"} {
		output(t, "qemu-img", "check", filepath.Join(dir, name))
		if _, err := staging.Read(filepath.Join(dir, name+".staging")); err != nil {
			t.Error(err)
		}
	}
}

// Working files are kept when that is asked for, named, and private.
func TestKeepOnFailure(t *testing.T) {
	tree, dir := oddTree(t), t.TempDir()
	write(t, tree, "usr/bin", "in the way")
	source := gptDisk(t, rootPart(t, tree))
	args := []string{"--in", source, "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "staging")}
	out, err := convertCommand(t, append(args, "--keep-on-failure")...).CombinedOutput()
	if err == nil {
		t.Fatalf("it was done\n%s", out)
	}
	left := namesIn(t, dir)
	if len(left) != 2 {
		t.Fatalf("left %q", left)
	}
	for _, name := range left {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if !strings.Contains(string(out), "kept "+path) {
			t.Errorf("%s is not named:\n%s", path, out)
		}
	}
	refused(t, exitEnvironment, args...)
	empty(t, dir)
}

// SIGTERM, as from a build service, is the same.
func TestTerminated(t *testing.T) {
	source, dir := oddSource(t), t.TempDir()
	cmd := convertCommand(t, "--in", source, "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "staging"))
	if said, err := stopAt(t, cmd, "Change the root", 0, syscall.SIGTERM); err == nil || !strings.Contains(said, "interrupted") {
		t.Errorf("%v: %s", err, said)
	}
	empty(t, dir)
}
