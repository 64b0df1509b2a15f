package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// hostileFS makes the file system of a LAUNCH_ARTIFACTS partition, which debugfs
// then changes.
func hostileFS(t *testing.T, files func(tree string), commands ...string) []byte {
	t.Helper()
	tree := t.TempDir()
	packed := launchtest.Bundle(t, launchtest.Release{Kernel: launchtest.Kernel("here\n", launchtest.PowerOff)})
	err := errors.Join(os.Mkdir(filepath.Join(tree, "A"), 0o700), os.Mkdir(filepath.Join(tree, "B"), 0o700),
		os.Symlink("A", filepath.Join(tree, "artifacts")))
	if err == nil {
		_, err = bundle.Extract(bytes.NewReader(packed), filepath.Join(tree, "A"), launchtest.Identity().Public().(ed25519.PublicKey))
	}
	if err != nil {
		t.Fatal(err)
	}
	if files != nil {
		files(tree)
	}
	image := rootfstest.Make(t, 10, tree, "-t", "ext4", "-L", "LAUNCH_ARTIFACTS", "-O", "^has_journal,^metadata_csum")
	if len(commands) > 0 {
		rootfstest.Debugfs(t, image, commands...)
	}
	fs, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// hostileDisk writes a disk with a root and that file system.
func hostileDisk(t *testing.T, path string, fs []byte) {
	t.Helper()
	const start = 8 << 20
	size := int64(start + len(fs) + 1<<20)
	table := &gpt.Table{DiskGUID: gpt.GUID{1}, SectorSize: 512, Partitions: []gpt.Partition{
		{Number: 1, Type: gpt.GUID{2}, GUID: gpt.GUID{3}, First: 2048, Last: start/512 - 1},
		{Number: 2, Type: gpt.GUID{2}, GUID: gpt.GUID{4}, First: start / 512, Last: uint64(start+len(fs))/512 - 1, Name: "LAUNCH_ARTIFACTS"},
	}}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(f.Truncate(size), table.Write(f, size))
	_, writeErr := f.WriteAt(fs, start)
	if err := errors.Join(err, writeErr, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestHostileArtifacts launches and exports what a host has put into the partition.
// Both commands say what is wrong, and write nothing.
func TestHostileArtifacts(t *testing.T) {
	t.Chdir(t.TempDir())
	identity, keyErr := keyfile.Identity(launchtest.Identity().Public().(ed25519.PublicKey))
	state, stateErr := simtest.AMD(t).Marshal()
	if err := errors.Join(keyErr, stateErr, os.WriteFile("key", identity, 0o600), os.WriteFile("sim.json", state, 0o600)); err != nil {
		t.Fatal(err)
	}
	good := hostileFS(t, nil)
	hostileDisk(t, "disk", good)
	for _, args := range commandsOnDisk() {
		if code, _, stderr := runCLI(t, args...); code != exitOK {
			t.Fatalf("%q of a good disk: exit code %d\n%s", args, code, stderr)
		}
	}
	if err := os.Remove("out.tar"); err != nil {
		t.Fatal(err)
	}
	kernel := func(size int64) func(string) {
		return func(tree string) {
			if err := os.Truncate(filepath.Join(tree, "A", "vmlinuz"), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	extra := func(tree string) {
		if err := os.WriteFile(filepath.Join(tree, "A", "UP-ETC"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		fs   []byte
		text string
	}{
		"kernel is a link":   {hostileFS(t, nil, "rm A/vmlinuz", "symlink A/vmlinuz /etc/shadow"), `/A/"vmlinuz" is a symbolic link`},
		"active leads out":   {hostileFS(t, nil, "rm artifacts", "symlink artifacts /etc/shadow"), `/artifacts leads to "/etc/shadow"`},
		"block device":       {hostileFS(t, nil, "rm A/vmlinuz", "cd A", "mknod vmlinuz b 8 0"), "is a device"},
		"character device":   {hostileFS(t, nil, "rm A/initrd.img", "cd A", "mknod initrd.img c 1 5"), "is a device"},
		"10 GiB kernel":      {hostileFS(t, kernel(10<<30)), "has 10737418240 bytes"},
		"name that leads up": {bytes.ReplaceAll(hostileFS(t, extra), []byte("UP-ETC"), []byte("../etc")), "has the name"},
		"corrupt superblock": {append(make([]byte, 4096), good[4096:]...), "no ext4 superblock"},
		"root is gone":       {hostileFS(t, nil, "clri <2>"), "LAUNCH_ARTIFACTS"},
	} {
		hostileDisk(t, "disk", tc.fs)
		refusedOnDisk(t, name, exitNo, tc.text)
	}
	for _, size := range []int64{8<<20 + 2048, 9 << 20, 17 << 20} {
		hostileDisk(t, "disk", good)
		if err := os.Truncate("disk", size); err != nil {
			t.Fatal(err)
		}
		refusedOnDisk(t, fmt.Sprintf("cut to %d bytes", size), exitEnvironment, "disk: no whole GPT")
	}
}

// commandsOnDisk are those that believe a partition before anybody else does.
func commandsOnDisk() [][]string {
	return [][]string{
		{"launch", "--image", "disk", "--identity-key", "key", "--memory", "256M", "--simulate", "--sim-state", "sim.json", "--snapshot"},
		{"artifacts", "export", "--image", "disk", "--identity-key", "key", "--bundle", "out.tar", "--format", "tar"},
	}
}

// refusedOnDisk wants both of them to end with a code and one line, and files as
// they were.
func refusedOnDisk(t *testing.T, name string, want int, text string) {
	t.Helper()
	before := filesHere(t)
	for _, args := range commandsOnDisk() {
		code, _, stderr := runCLI(t, args...)
		if code != want || !strings.Contains(stderr, text) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s, %s: exit code %d\n%s", name, args[0], code, stderr)
		}
		if after := filesHere(t); after != before {
			t.Errorf("%s, %s: the files were\n%s\nnow\n%s", name, args[0], before, after)
		}
	}
}

// filesHere tells names, sizes and times of what is in the working directory.
func filesHere(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var found strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&found, e.Name(), info.Size(), info.ModTime())
	}
	return found.String()
}
