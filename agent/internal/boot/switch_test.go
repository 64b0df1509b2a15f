package boot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// switching is a boot whose root is mounted, with what a system has that boots.
func switching(t *testing.T) (*computer, *Boot) {
	t.Helper()
	c, b := unlocked(t)
	b.config.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"10.0.2.15/24"}}
	c.write("/sysroot/lib/modules/6.12.1/modules.dep", nil)
	c.write("/sysroot"+pathMachineID, []byte("0123456789abcdef0123456789abcdef\n"))
	if err := errors.Join(b.mountBase(t.Context()), b.networkUp(t.Context())); err != nil {
		t.Fatal(err)
	}
	c.asked()
	return c, b
}

const moves = "down eth0, move /dev /sysroot/dev, move /proc /sysroot/proc, move /sys /sysroot/sys, move /run /sysroot/run, enter /sysroot"

// TestSwitchRoot leaves the status and the agent in /run and nothing in the initrd,
// and starts init with nothing of the command line's. No failure goes on.
func TestSwitchRoot(t *testing.T) {
	for fails, want := range map[string]string{
		"":                          moves + ", exec /sbin/init, exec /lib/systemd/systemd", // as if neither were there
		"down eth0":                 "down eth0",
		"move /proc /sysroot/proc":  "down eth0, move /dev /sysroot/dev, move /proc /sysroot/proc",
		"enter /sysroot":            moves,
		"uname":                     moves,
		"exec /sbin/init":           moves + ", exec /sbin/init, exec /lib/systemd/systemd",
		"exec /lib/systemd/systemd": moves + ", exec /sbin/init, exec /lib/systemd/systemd",
	} {
		synctest.Test(t, func(t *testing.T) {
			c, b := switching(t)
			c.fail[fails] = refused
			if err := b.switchRoot(t.Context()); (fails != "" && !errors.Is(err, refused)) || c.asked() != want {
				t.Errorf("%s: %v, asked %s", fails, err, c.did)
			}
			if fails != "" {
				return
			}
			if left := namesIn(t, c.dir); !slices.Equal(left, []string{"dev", "run", "sysroot"}) {
				t.Errorf("the initrd holds %q", left)
			}
			if s, err := status.Read(filepath.Join(c.dir, status.Path)); err != nil || s.Service != "https://a" || s.Root.Partition != "vda1" {
				t.Errorf("%v, status %+v", err, s)
			}
			if content, err := os.ReadFile(filepath.Join(c.dir, bootconf.PathRunConfig)); err != nil || string(content) != "{}" {
				t.Errorf("configuration %q, %v", content, err)
			}
			if content, err := os.ReadFile(filepath.Join(c.dir, bootconf.PathRunAgent)); err != nil || string(content) != "an agent" {
				t.Errorf("agent: %q, %v", content, err)
			}
			if !slices.Equal(c.arguments, []string{"/lib/systemd/systemd"}) ||
				!slices.Equal(c.environment, []string{"HOME=/", "TERM=linux", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}) {
				t.Errorf("started with %q, %q", c.arguments, c.environment)
			}
		})
	}
}

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

// TestNoModules ends a boot whose root lacks the modules of the kernel that runs,
// unless the configuration allows it.
func TestNoModules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := switching(t)
		dir := filepath.Join(c.dir, "sysroot/lib/modules/6.12.1")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		c.write("/sysroot/lib/modules/6.12.1", nil) // a file is no directory
		if err := b.switchRoot(t.Context()); !errors.Is(err, errNoModules) || c.asked() != moves {
			t.Errorf("%v, asked %s", err, c.did)
		}
		b.config.Modules = bootconf.ModulesOptional
		if err := b.checkModules(); err != nil {
			t.Error(err)
		}
	})
}

// TestMountRoot mounts the very device that was made, by the measured kind.
func TestMountRoot(t *testing.T) {
	c, b := unlocked(t)
	b.config.Root.Mount.Options = []string{"errors=remount-ro", "noatime", "commit=5"}
	if err := b.mountRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.asked(); got != `mount /dev/mapper/cryptroot /sysroot ext4 0x401 "errors=remount-ro,commit=5"` {
		t.Errorf("asked %s", got)
	}
	b.config.Root.Filesystem, b.config.Root.Mount = "btrfs", bootconf.Mount{Options: []string{"subvol=@", "relatime", "nodiratime", "lazytime"}}
	const second = `mount /dev/mapper/cryptroot /sysroot btrfs 0x2200800 "subvol=@"`
	c.fail[second] = unix.EINVAL
	if err := b.mountRoot(t.Context()); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), `mount the btrfs of device 0:0, options "subvol=@"`) || c.asked() != second {
		t.Errorf("%v, asked %q", err, c.did)
	}
	c.number = [2]uint32{254, 17} // a disk that has taken its name
	for _, look := range []error{b.mountRoot(t.Context()), b.superblock()} {
		if !errors.Is(look, errDevice) || c.asked() != "" {
			t.Errorf("another device: %v", look)
		}
	}
	c.fail["number"] = unix.ENOENT
	if err := b.mountRoot(t.Context()); !errors.Is(err, unix.ENOENT) || c.asked() != "" {
		t.Errorf("no device: %v", err)
	}
}

// TestMachineID gives a root without an ID of its own a random one.
func TestMachineID(t *testing.T) {
	for content, want := range map[string]bool{
		"0123456789abcdef0123456789abcdef\n":  false,
		"0123456789abcdef0123456789abcdef":    false,
		"":                                    true,
		"\n":                                  true,
		"uninitialized\n":                     true,
		"00000000000000000000000000000000\n":  true,
		"0123456789ABCDEF0123456789abcdef\n":  true,
		"0123456789abcdef0123456789abcdef\nx": true,
		"\xff\xfe":                            true,
	} {
		c, b := unlocked(t)
		c.write(pathRunMachineID+"-dir", nil)
		c.write(pathMachineID, []byte(content))
		if err := b.supplyMachineID(); err != nil {
			t.Fatal(err)
		}
		id, err := os.ReadFile(filepath.Join(c.dir, pathRunMachineID))
		if got := c.asked(); want != (got == "bind /run/machine-id /etc/machine-id, remount /etc/machine-id 0x1021") ||
			want != regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n$`).Match(id) {
			t.Errorf("%q: asked %s, ID %q, %v", content, got, id, err)
		}
		for _, fails := range []string{"bind /run/machine-id /etc/machine-id", "remount /etc/machine-id 0x1021"} {
			c.fail = map[string]error{fails: refused}
			if err := os.RemoveAll(filepath.Join(c.dir, pathRunMachineID)); err != nil {
				t.Fatal(err)
			}
			if err := b.supplyMachineID(); want != errors.Is(err, refused) {
				t.Errorf("%s: %v", fails, err)
			}
		}
	}
	c, b := unlocked(t)
	if err := b.supplyMachineID(); err != nil || c.asked() != "" {
		t.Errorf("a root without the file: %v", err)
	}
}

// TestClock sets it to the service's time and what has passed since.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := unlocked(t)
		b.grant.Time, b.grant.Came = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Now()
		time.Sleep(3 * time.Second)
		if err := b.setClock(t.Context()); err != nil || !c.clock.Equal(time.Date(2026, 11, 1, 0, 0, 3, 0, time.UTC)) {
			t.Errorf("%v, set to %v", err, c.clock)
		}
		c.fail["clock"] = fs.ErrPermission
		if err := b.setClock(t.Context()); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
	})
}
