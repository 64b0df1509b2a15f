package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// hostileFS makes the file system of a LAUNCH_ARTIFACTS partition with a bundle in slot
// A, some of whose files the host has changed, or which debugfs changes.
func hostileFS(t *testing.T, files map[string]string, commands ...string) []byte {
	t.Helper()
	tree := fstest.MapFS{}
	packed := launchtest.Bundle(t, launchtest.Release{Kernel: launchtest.Kernel("here\n", launchtest.PowerOff)})
	dir := t.TempDir()
	if _, err := bundle.Extract(bytes.NewReader(packed), dir, launchtest.Identity().Public().(ed25519.PublicKey)); err != nil {
		t.Fatal(err)
	}
	if err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		tree[name] = &fstest.MapFile{Data: data}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		tree[name] = &fstest.MapFile{Data: []byte(data)}
	}
	const size = 16 << 20
	image := filepath.Join(t.TempDir(), "fs")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	head, err := slots.Make([16]byte{5}, size)
	if err == nil {
		_, err = f.Write(head)
	}
	if err := errors.Join(err, f.Truncate(size)); err != nil {
		t.Fatal(err)
	}
	p, err := slots.Open(f, size)
	if err == nil {
		err = p.Write(slots.A, tree)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if len(commands) > 0 {
		rootfstest.Run(t, "debugfs", []string{"-w", "-R", "feature -read-only", image})
		rootfstest.Debugfs(t, image, append(commands, "feature read-only")...)
	}
	made, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// hostileDisk writes a disk with that file system and a root behind.
func hostileDisk(t *testing.T, path string, fs []byte) {
	t.Helper()
	const start = 1 << 20
	root := uint64(start+len(fs)) / 512
	size := int64(start + len(fs) + 4<<20)
	table := &gpt.Table{DiskGUID: gpt.GUID{1}, SectorSize: 512, Partitions: []gpt.Partition{
		{Number: 1, Type: gpt.GUID{2}, GUID: gpt.GUID{3}, First: root, Last: root + 4095},
		{Number: 2, Type: gpt.GUID{2}, GUID: gpt.GUID{4}, First: start / 512, Last: root - 1, Name: slots.Label},
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
	const damaged = "unusable LAUNCH_ARTIFACTS partition"
	for name, tc := range map[string]struct {
		fs   []byte
		text string
	}{
		"kernel is a link":   {hostileFS(t, nil, "rm A/vmlinuz", "symlink A/vmlinuz /etc/shadow"), damaged},
		"active leads out":   {hostileFS(t, nil, "rm artifacts", "symlink artifacts /etc/shadow"), damaged},
		"block device":       {hostileFS(t, nil, "rm A/vmlinuz", "cd A", "mknod vmlinuz b 8 0"), damaged},
		"character device":   {hostileFS(t, nil, "rm A/initrd.img", "cd A", "mknod initrd.img c 1 5"), damaged},
		"10 GiB kernel":      {hostileFS(t, nil, "set_inode_field A/vmlinuz size 10737418240"), damaged},
		"kernel elsewhere":   {hostileFS(t, nil, "set_inode_field A/vmlinuz block[5] 0x800"), damaged},
		"root is gone":       {hostileFS(t, nil, "clri <2>"), damaged},
		"corrupt superblock": {append(make([]byte, 4096), good[4096:]...), damaged},
		"another file":       {hostileFS(t, map[string]string{"extra": ""}), `/A/"extra" is not in the manifest`},
		"another kernel":     {hostileFS(t, map[string]string{"vmlinuz": "x"}), "its manifest says"},
		"another signature":  {hostileFS(t, map[string]string{"manifest.json.sig": strings.Repeat("x", 64)}), "not signed by this service"},
	} {
		hostileDisk(t, "disk", tc.fs)
		refusedOnDisk(t, name, exitNo, tc.text)
	}
	for _, size := range []int64{1<<20 + 2048, 9 << 20, 17 << 20} {
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
