package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Where the kernel's own file systems are mounted: the agent mounts nothing before
// the root that a host could write.
const (
	dirDev      = "/dev"
	dirProc     = "/proc"
	dirSys      = "/sys"
	dirRun      = "/run"
	dirConfigfs = "/sys/kernel/config"
)

// Mounter is what the agent asks of the kernel about mounts.
type Mounter interface {
	Mkdir(path string, mode fs.FileMode) error
	Mount(source, target, kind string, flags uintptr, data string) error
	Unmount(target string, flags int) error
}

// kernelMounts is the running kernel.
type kernelMounts struct{}

// Mkdir makes a directory and those above it.
func (kernelMounts) Mkdir(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// Mount is mount(2).
func (kernelMounts) Mount(source, target, kind string, flags uintptr, data string) error {
	return unix.Mount(source, target, kind, flags, data)
}

// unmount is umount2(2).
func (kernelMounts) Unmount(target string, flags int) error { return unix.Unmount(target, flags) }

// mountSet is what has been mounted, in that order.
type mountSet struct {
	kernel  Mounter
	mounted []string
}

// newMounts returns an empty set.
func newMounts(k Mounter) *mountSet { return &mountSet{kernel: k} }

type mount struct {
	kind, target string
	flags        uintptr
	data         string
}

// base mounts /dev, /proc, /sys and /run and makes their directories, for some
// initrds have none. /run gets the options of systemd, which goes on with it.
func (s *mountSet) base() error {
	const strict = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	for _, m := range []mount{
		{"devtmpfs", dirDev, unix.MS_NOSUID, "mode=0755"},
		{"proc", dirProc, strict, ""},
		{"sysfs", dirSys, strict, ""},
		{"tmpfs", dirRun, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_STRICTATIME, "mode=0755,size=20%,nr_inodes=800k"},
	} {
		if err := s.mount(m); err != nil {
			return err
		}
	}
	return nil
}

// configfs mounts configfs, through which reports are made. It exists once its
// module is loaded; fs.ErrNotExist says that this kernel has none.
func (s *mountSet) configfs() error {
	err := s.mount(mount{"configfs", dirConfigfs, unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, ""})
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// mount takes a target that is mounted already, as some initrds' /dev, for what
// it is: EBUSY means the very same file system.
func (s *mountSet) mount(m mount) error {
	if m.target != dirConfigfs {
		if err := s.kernel.Mkdir(m.target, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", m.target, err)
		}
	}
	err := s.kernel.Mount(m.kind, m.target, m.kind, m.flags, m.data)
	if errors.Is(err, unix.EBUSY) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", m.target, err)
	}
	s.mounted = append(s.mounted, m.target)
	return nil
}

// unmount takes away what was mounted, last first, except what is kept. What is
// still in use goes when its users do.
func (s *mountSet) unmount(keep ...string) error {
	kept := map[string]bool{}
	for _, k := range keep {
		kept[k] = true
	}
	var errs []error
	for i := len(s.mounted) - 1; i >= 0; i-- {
		target := s.mounted[i]
		if kept[target] {
			continue
		}
		if err := s.kernel.Unmount(target, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	s.mounted = nil
	return errors.Join(errs...)
}
