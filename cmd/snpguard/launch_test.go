package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// bundlesCommand returns the script command "bundles": it leaves bundles whose
// guests print a line and end, the key that signed them, what a conversion without
// encryption leaves, and disks.
func bundlesCommand(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		release := func(ending launchtest.Ending) launchtest.Release {
			return launchtest.Release{
				Kernel: launchtest.Kernel("the guest is here\n", ending), Initrd: []byte("initrd"), Cmdline: "quiet",
				Variants: []measure.VCPUs{launchtest.VCPUs(t, 2, "EPYC-Milan"), launchtest.VCPUs(t, 1, "EPYC-Genoa")},
			}
		}
		genuine := release(launchtest.PowerOff)
		genuine.Genuine = true
		panics := release(launchtest.Reset)
		panics.Kernel = launchtest.Kernel("the guest panics\n", launchtest.Reset)
		noFirmware := genuine
		noFirmware.Change = func(r *bundle.Release) { r.Firmware = r.Kernel }
		public := launchtest.Identity().Public().(ed25519.PublicKey)
		identity, err := keyfile.Identity(public)
		ts.Check(err)
		other, err := keyfile.Identity(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)).Public().(ed25519.PublicKey))
		ts.Check(err)
		smallOrder, err := keyfile.Identity(make([]byte, ed25519.PublicKeySize))
		ts.Check(err)
		for name, data := range map[string][]byte{
			"simulated.tar.gz": launchtest.Bundle(t, release(launchtest.PowerOff)),
			"panics.tar.gz":    launchtest.Bundle(t, panics),
			"hangs.tar.gz":     launchtest.Bundle(t, release(launchtest.Hang)),
			"genuine.tar.gz":   launchtest.Bundle(t, genuine),
			"other-fw.tar.gz":  launchtest.Bundle(t, noFirmware),
			"identity":         identity,
			"other":            other,
			"small-order":      smallOrder,
			"disk.raw":         make([]byte, 1<<20),
			"disk.vmdk":        append([]byte("KDMV"), make([]byte, 1<<20)...),
		} {
			ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o600))
		}
		conversion := []byte(`{"format": 1, "image_id": "11223344-5566-4788-8900-000000000000", "encrypted": false, "os": "Debian 13"}`)
		ts.Check(os.Mkdir(ts.MkAbs("staging"), 0o700))
		for name, data := range map[string][]byte{
			staging.NameFirmware: launchtest.Firmware(t), staging.NameKernel: genuine.Kernel, staging.NameInitrd: genuine.Initrd,
			staging.NameCmdline: []byte("quiet"), staging.NameConversion: conversion,
		} {
			ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("staging"), name), data, 0o600))
		}
		slotted(ts, ts.MkAbs("gpt.raw"), 32<<20)
		slotted(ts, ts.MkAbs("none.raw"), 0)
		ts.Check(exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", ts.MkAbs("gpt.raw"), ts.MkAbs("gpt.qcow2")).Run())
	}
}

// slotted makes a disk with a root of 2 MiB, and before it empty slots of a size, 0 for
// none.
func slotted(ts *testscript.TestScript, path string, size int64) {
	const mib = 1 << 20
	disk := size + 8*mib
	root := uint64(mib+size) / 512
	table := &gpt.Table{DiskGUID: gpt.GUID{1}, SectorSize: 512, Partitions: []gpt.Partition{{Number: 1, Type: gpt.GUID{2}, GUID: gpt.GUID{3}, First: root, Last: root + 4095}}}
	f, err := os.Create(path)
	ts.Check(err)
	if size != 0 {
		table.Partitions = append(table.Partitions, gpt.Partition{Number: 2, Type: gpt.GUID{2}, GUID: gpt.GUID{4}, First: mib / 512, Last: root - 1, Name: slots.Label})
		head, err := slots.Make([16]byte{5}, size)
		ts.Check(err)
		_, err = f.WriteAt(head, mib)
		ts.Check(err)
	}
	ts.Check(errors.Join(f.Truncate(disk), table.Write(f, disk)))
	_, err = f.WriteAt(bytes.Repeat([]byte("root"), 1<<19), int64(root)*512)
	ts.Check(errors.Join(err, f.Close()))
}

// TestLaunchInterrupted ends a guest that does not end by itself, and with it all
// that was made for it.
func TestLaunchInterrupted(t *testing.T) {
	dir := t.TempDir()
	temporary, err := os.MkdirTemp("", "i-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temporary) }) //nolint:errcheck // nothing is left to do about it
	t.Setenv("TMPDIR", temporary)
	identity, err := keyfile.Identity(launchtest.Identity().Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	state, err := simtest.AMD(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"bundle": launchtest.Bundle(t, launchtest.Release{Kernel: launchtest.Kernel("here\n", launchtest.Hang)}),
		"key":    identity, "sim.json": state, "disk": make([]byte, 1<<20),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	ctx, interrupt := context.WithCancel(t.Context())
	stdout, console := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"launch", "--disk", "disk", "--bundle", "bundle", "--identity-key", "key", "--memory", "256M",
			"--simulate", "--sim-state", "sim.json"}, strings.NewReader(""), console, &stderr)
		console.Close() //nolint:errcheck // a pipe closes
	}()
	if _, err := io.ReadFull(stdout, make([]byte, len("here"))); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	interrupt()
	go io.Copy(io.Discard, stdout) //nolint:errcheck // until it closes
	if got := <-code; got != exitEnvironment || !strings.Contains(stderr.String(), "interrupted; the guest was ended") {
		t.Errorf("exit code %d\n%s", got, stderr.String())
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
