//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/asp"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// host is a host that launches what it likes: it does not check the bundle, and
// its AMD-SP can be made to launch what it should refuse.
type host struct {
	guest    *launch.Guest // files of its own, to be changed
	disk     string
	firmware launch.SimFirmware
	hashes   *launch.HashesFile // of the guest before it was changed
	network  launch.Network
	tcb      snp.TCB // of its chip
	force    bool
	hostData [wire.HostDataSize]byte // of the instance; zero for none
	keep     bool                    // what the guest writes stays on the disk
	extra    []string                // options of QEMU

	asp *asp.Guest // once launched
}

// newHost takes a bundle apart.
func newHost(t testing.TB, c *conversion, bundlePath string) *host {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(bundlePath)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	login, err := client.ReadLogin(loginFile())
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := bundle.Extract(f, dir, login.IdentityKey)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{disk: c.Image, firmware: launch.FirmwareDirect, network: launch.Network{Mode: launch.NetworkUser}, tcb: sim.RecentTCB(snp.Milan)}
	if h.guest, err = launch.Load(dir, manifest, ""); err != nil {
		t.Fatal(err)
	}
	if h.hashes, err = h.guest.WriteHashes(dir); err != nil {
		t.Fatal(err)
	}
	return h
}

// amd returns the simulated AMD that the service trusts.
func amd(t testing.TB) *sim.AMD {
	t.Helper()
	data, err := os.ReadFile(theService(t).simState)
	if err != nil {
		t.Fatal(err)
	}
	a, err := sim.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// machine is what the host adds to the guest.
func (h *host) machine(t testing.TB) launch.Machine {
	t.Helper()
	disk, err := launch.OpenDisk(qemu.Files{Image: h.disk})
	if err != nil {
		t.Fatal(err)
	}
	return launch.Machine{Disk: disk, Memory: 512 << 20, Network: h.network, Snapshot: !h.keep, HostData: h.hostData}
}

// present gives the guest to the AMD-SP.
func (h *host) present(t testing.TB) error {
	t.Helper()
	chip := sim.NewChip(snp.Milan, "demo", h.tcb)
	var err error
	h.asp, err = asp.LaunchFiles(amd(t), chip, h.guest, h.machine(t), h.force)
	return err
}

// boot launches; the AMD-SP has to accept. What the guest writes is forgotten, unless it
// is kept.
func (h *host) boot(t testing.TB) *vm.VM {
	t.Helper()
	if err := h.present(t); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "asp-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // temporary
	listener, socket, err := asp.Listen(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.asp.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	version, err := launch.QEMUVersion(ctx, launch.Program)
	if err != nil {
		t.Fatal(err)
	}
	s := launch.Simulation{
		Guest: h.guest, Socket: socket, Firmware: h.firmware, Version: version, Hashes: h.hashes, Machine: h.machine(t),
	}
	return start(t, slices.Concat([]string{launch.Program}, s.Args(), h.extra))
}

// start starts a machine that ends with the test.
func start(t testing.TB, argv []string) *vm.VM {
	t.Helper()
	v, err := vm.Start(context.Background(), argv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.Stop()
		if t.Failed() {
			t.Log(v.Log())
		}
	})
	return v
}

// flip changes a byte of a file.
func flip(t testing.TB, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	_, readErr := f.ReadAt(b[:], offset)
	b[0] ^= 1
	_, writeErr := f.WriteAt(b[:], offset)
	if err := errors.Join(readErr, writeErr); err != nil {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
}

// pad adds zeros behind an initrd, which the kernel skips (Linux, init/initramfs.c).
func pad(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := f.Write(make([]byte, 512))
	if err := errors.Join(writeErr, f.Close()); err != nil {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
}
