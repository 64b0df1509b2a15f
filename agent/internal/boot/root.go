package boot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// dirRoot is where the root is mounted before it becomes "/".
const dirRoot = "/sysroot"

// mountRoot mounts the device that was made, as a file system of the measured kind.
func (b *Boot) mountRoot(context.Context) error {
	device, err := b.rootDevice()
	if err != nil {
		return err
	}
	r := b.config.Root
	flags, data := mountArguments(r.Mount)
	target := b.Machine.at(dirRoot)
	if err := b.Machine.Mounts.Mkdir(target, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dirRoot, err)
	}
	if err := b.Machine.Mounts.Mount(device, target, r.Filesystem, flags, data); err != nil {
		return fmt.Errorf("mount the %s of device %d:%d, options %q: %w", r.Filesystem, b.device.Major, b.device.Minor, data, err)
	}
	mode := "read-write"
	if r.Mount.ReadOnly {
		mode = "read-only"
	}
	b.Log.Printf("root", "mounted %s", mode)
	return nil
}

// errDevice is a name that leads to another device than the one that was made.
var errDevice = errors.New("another device than the one that was made")

// rootDevice returns the root's name, by which the running system knows what is
// mounted, once it is sure to lead to the very device that the agent has made.
func (b *Boot) rootDevice() (string, error) {
	path := b.Machine.at(bootconf.MapperPath)
	major, minor, err := b.Machine.Number(path)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", bootconf.MapperPath, err)
	}
	if major != b.device.Major || minor != b.device.Minor {
		return "", fmt.Errorf("%s is %d:%d: %w, %d:%d", bootconf.MapperPath, major, minor, errDevice, b.device.Major, b.device.Minor)
	}
	return path, nil
}

// mountArguments returns mount(2)'s flags and data. The options were checked with
// the configuration; what the kernel takes as a flag is none of a file system's.
func mountArguments(m bootconf.Mount) (flags uintptr, data string) {
	if m.ReadOnly {
		flags = unix.MS_RDONLY
	}
	var rest []string
	for _, option := range m.Options {
		switch option {
		case "noatime":
			flags |= unix.MS_NOATIME
		case "relatime":
			flags |= unix.MS_RELATIME
		case "nodiratime":
			flags |= unix.MS_NODIRATIME
		case "lazytime":
			flags |= unix.MS_LAZYTIME
		default:
			rest = append(rest, option)
		}
	}
	return flags, strings.Join(rest, ",")
}
