// Package rootfstest makes file systems for tests with the programs of
// e2fsprogs and asks them what is in one.
package rootfstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// UUID is what Make gives every file system.
const UUID = "6b1c7d5e-0f3a-4c2b-9d8e-a1b2c3d4e5f6"

// Run runs a program of e2fsprogs and returns what it printed, stderr last. It
// fails the test unless the program ends with one of the codes, 0 if none.
func Run(tb testing.TB, program string, args []string, codes ...int) string {
	tb.Helper()
	path, err := e2fsprogs.Program(program)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(path, args...) //nolint:noctx // ends by itself
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "DEBUGFS_PAGER=__none__"}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	code := cmd.ProcessState.ExitCode()
	for _, expected := range append(codes, 0) {
		if code == expected {
			return stdout.String() + stderr.String()
		}
	}
	tb.Fatalf("%s %q: %v\n%s%s", program, args, err, stdout.String(), stderr.String())
	return ""
}

// Open reads an image of an ext4.
func Open(tb testing.TB, image string) *ext4.FS {
	tb.Helper()
	file, err := os.Open(image)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = file.Close() })
	info, err := file.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	volume, err := ext4.Open(file, info.Size())
	if err != nil {
		tb.Fatal(err)
	}
	return volume
}

// Make makes a file system of so many MiB with mke2fs's arguments, filled with
// what is in dir unless that is empty, and returns the image's path.
func Make(tb testing.TB, mib int64, dir string, args ...string) string {
	tb.Helper()
	image := filepath.Join(tb.TempDir(), "fs.img")
	file, err := os.Create(image)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(mib << 20); err != nil {
		tb.Fatal(err)
	}
	all := append([]string{"-q", "-F", "-U", UUID, "-L", "root of it"}, args...)
	if dir != "" {
		all = append(all, "-d", dir)
	}
	Run(tb, "mke2fs", append(all, image))
	return image
}

// Debugfs runs debugfs commands, one a line, and returns what they print. Any
// that fails ends the test.
func Debugfs(tb testing.TB, image string, commands ...string) string {
	tb.Helper()
	script := filepath.Join(tb.TempDir(), "commands")
	if err := os.WriteFile(script, []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	out := Run(tb, "debugfs", []string{"-w", "-f", script, image})
	// Its greeting ends stderr unless an error follows.
	if at := strings.LastIndex(out, "debugfs 1."); at >= 0 {
		if _, words, _ := strings.Cut(out[at:], "\n"); words != "" {
			tb.Fatalf("debugfs: %s", words)
		}
	}
	return out
}

// Clean fails the test unless e2fsck has nothing to say.
func Clean(tb testing.TB, image string) {
	tb.Helper()
	Run(tb, "e2fsck", []string{"-f", "-n", image})
}
