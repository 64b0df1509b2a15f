package boot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func TestMountsAndModules(t *testing.T) {
	c, b := newComputer(t)
	if err := b.loadModules(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an initrd without modules: %v", err)
	}
	c.write("/snpguard/modules/b.ko", nil) // in the order of their names
	c.write("/snpguard/modules/a.ko", nil)
	c.fail["load /snpguard/modules/a.ko"] = unix.ENODEV // hardware that is not there
	c.fail["mount /sys/kernel/config"] = unix.ENODEV    // a kernel without configfs
	if err := errors.Join(b.mountBase(t.Context()), b.loadModules(t.Context())); err != nil {
		t.Fatal(err)
	}
	const want = "mount /dev, mount /proc, mount /sys, mount /run, load /snpguard/modules/a.ko, load /snpguard/modules/b.ko, mount /sys/kernel/config"
	if got := c.asked(); got != want {
		t.Errorf("asked: %s", got)
	}
	c.fail["mount /sys/kernel/config"] = refused
	if err := b.loadModules(t.Context()); !errors.Is(err, refused) {
		t.Errorf("without configfs: %v", err)
	}
	c.fail["mount /proc"] = refused
	if err := b.mountBase(t.Context()); !errors.Is(err, refused) {
		t.Errorf("without /proc: %v", err)
	}
}

func TestReadConfig(t *testing.T) {
	c, b := newComputer(t)
	b.config = nil
	if err := b.readConfig(t.Context()); !errors.Is(err, fs.ErrNotExist) || b.config != nil {
		t.Errorf("no file: %v", err)
	}
	other := errForSimulated
	if report.Simulated {
		other = errForReal
	}
	for simulated, want := range map[bool]error{report.Simulated: nil, !report.Simulated: other} {
		encoded, err := config(simulated).Encode()
		if err != nil {
			t.Fatal(err)
		}
		c.write(bootconf.PathConfig, encoded)
		if err := b.readConfig(t.Context()); !errors.Is(err, want) || (b.config != nil) != (want == nil) {
			t.Errorf("simulated %v: %v", simulated, err)
		}
		b.config = nil
	}
}

func TestFindRoot(t *testing.T) {
	c, b := newComputer(t)
	c.disk("vda")
	want := c.sealed(b.config.ImageID)
	if err := b.findRoot(t.Context()); err != nil || !bytes.Equal(b.sealed, want) || b.root.Name != "vda1" || c.asked() != "" {
		t.Fatalf("%v, root %+v", err, b.root)
	}
	b.config.ImageID[0]++
	if err := b.findRoot(t.Context()); !errors.Is(err, vmkrecord.ErrImage) {
		t.Errorf("another image's record: %v", err)
	}
	c.disk("vdb") // a copy that the host attached
	if err := b.findRoot(t.Context()); !errors.Is(err, rootdisk.ErrAmbiguous) {
		t.Errorf("two roots: %v", err)
	}
}

// TestRootThatNeverComes waits for it until the deadline, and says so once.
func TestRootThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newComputer(t)
		c.write("sys/class/block/sr0/size", []byte("0"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.findRoot(ctx); !errors.Is(err, rootdisk.ErrNotFound) || !errors.Is(err, context.DeadlineExceeded) || len(c.log) != 1 {
			t.Errorf("%v, logged %q", err, c.log)
		}
	})
}

func TestGrow(t *testing.T) {
	const grown = diskSize - partitionStart - 1<<20
	c, b := newComputer(t)
	c.disk("vda")
	c.sealed(b.config.ImageID)
	b.config.Root.Grow = true
	b.Machine.Reread = func(*os.File) error { c.kernelSize("vda", grown); return c.do("reread") }
	if err := b.findRoot(t.Context()); err != nil || b.root.Size != grown || c.asked() != "reread" {
		t.Fatalf("%v, root %+v", err, b.root)
	}
	c, b = newComputer(t)
	c.disk("vda")
	c.sealed(b.config.ImageID)
	b.config.Root.Grow = true
	c.fail["reread"] = unix.EBUSY // the kernel has the old table: the boot waits until it has the new one
	b.Machine.Reread = func(*os.File) error { defer c.kernelSize("vda", grown); return c.do("reread") }
	if err := b.findRoot(t.Context()); err != nil || b.root.Size != grown || !strings.Contains(strings.Join(c.log, "\n"), "not extended") {
		t.Errorf("%v, root %+v, logged %q", err, b.root, c.log)
	}
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newComputer(t)
		b.config.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"10.0.2.15/24"}, Gateways: []string{"10.0.2.2"}}
		if err := b.networkUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if paths := b.paths(); len(paths) != 1 || paths[0].Name != "eth0" || c.asked() != "up eth0, apply" {
			t.Errorf("ways %+v", paths)
		}
		if err := b.net.Down(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnlockEnds is a boot whose service no report reaches.
func TestUnlockEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newComputer(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.unlock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no report: %v", err)
		}
		b.Machine.Providers = []report.Provider{firmware{}}
		b.net = b.Machine.Network(t.Logf) // and no way out
		if err := b.unlock(t.Context()); err == nil || !strings.Contains(err.Error(), "sealed volume key") {
			t.Errorf("no sealed volume key: %v", err)
		}
		b.sealed = make([]byte, wire.SealedVMKSize)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.unlock(ctx); !errors.Is(err, context.DeadlineExceeded) || b.grant != nil {
			t.Errorf("%v, granted %v", err, b.grant)
		}
	})
}

// TestOpenRoot has the volume key gone whatever happens, and no device left that
// cannot be used.
func TestOpenRoot(t *testing.T) {
	for fails, want := range map[string]string{
		"":                         "open /dev/mapper/control, create, load, resume",
		"open /dev/mapper/control": "open /dev/mapper/control",
		"create":                   "open /dev/mapper/control, create",
		"load":                     "open /dev/mapper/control, create, load, remove",
		"resume":                   "open /dev/mapper/control, create, load, resume, remove",
	} {
		c, b := unlocked(t)
		c.fail[fails] = refused
		vmk := b.key
		if err := b.openRoot(t.Context()); (fails != "" && !errors.Is(err, refused)) || (fails == "" && err != nil) {
			t.Errorf("%s: %v", fails, err)
		}
		if got := c.asked(); got != want {
			t.Errorf("%s: asked %s", fails, got)
		}
		if !bytes.Equal(vmk, make([]byte, 64)) {
			t.Errorf("%s: the volume key is left", fails)
		}
		if to, err := os.Readlink(filepath.Join(c.dir, bootconf.MapperPath)); fails == "" && (err != nil || to != "../dm-3") {
			t.Errorf("link to %q, %v", to, err)
		}
	}
}

// TestNoUsableDevice is a device that never appears, and one whose name is taken.
func TestNoUsableDevice(t *testing.T) {
	c, b := unlocked(t)
	if err := os.Remove(filepath.Join(c.dir, "dev/dm-3")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.openRoot(ctx); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(c.asked(), ", remove") {
		t.Errorf("no device: %v", err)
	}
	c, b = unlocked(t)
	c.write(bootconf.MapperPath+"/taken", nil)
	if err := b.openRoot(t.Context()); err == nil || !strings.HasSuffix(c.asked(), ", remove") {
		t.Errorf("no link: %v", err)
	}
}

// TestCheckFilesystem takes a device with another file system away.
func TestCheckFilesystem(t *testing.T) {
	c, b := unlocked(t)
	b.device.Minor = 3
	noise := bytes.Repeat([]byte{0xA5}, 4096)
	right := bytes.Clone(noise)
	copy(right[1080:], "\x53\xef")
	copy(right[1128:], "\x0f\x0f\x1f\x5e\x3f\x6d\x4b\x4e\x9a\x35\x01\x23\x45\x67\x89\xab")
	c.write(bootconf.MapperPath, right)
	c.number[1] = 3
	if err := b.checkFilesystem(t.Context()); err != nil || c.asked() != "" {
		t.Errorf("the measured one: %v", err)
	}
	c.write(bootconf.MapperPath, noise)
	if err := b.checkFilesystem(t.Context()); err == nil || c.asked() != "open /dev/mapper/control, remove" {
		t.Errorf("another: %v", err)
	}
	c.fail["open /dev/mapper/control"] = refused
	if err := b.checkFilesystem(t.Context()); !errors.Is(err, refused) {
		t.Errorf("another that stays: %v", err)
	}
	if err := os.Remove(filepath.Join(c.dir, bootconf.MapperPath)); err != nil {
		t.Fatal(err)
	}
	if err := b.checkFilesystem(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
