// Package mounts gives the agent the kernel's own file systems and takes them
// away again. It mounts nothing that a host could write.
package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Where the file systems are mounted.
const (
	Dev      = "/dev"
	Proc     = "/proc"
	Sys      = "/sys"
	Run      = "/run"
	Configfs = "/sys/kernel/config"
)

// Kernel is what this package asks of the kernel; [Real] in production.
type Kernel interface {
	Mkdir(path string, mode fs.FileMode) error
	Mount(source, target, kind string, flags uintptr, data string) error
	Unmount(target string, flags int) error
}

// Real is the running kernel.
type Real struct{}

// Mkdir makes a directory and those above it.
func (Real) Mkdir(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// Mount is mount(2).
func (Real) Mount(source, target, kind string, flags uintptr, data string) error {
	return unix.Mount(source, target, kind, flags, data)
}

// Unmount is umount2(2).
func (Real) Unmount(target string, flags int) error { return unix.Unmount(target, flags) }

// Set is what has been mounted, in that order.
type Set struct {
	kernel  Kernel
	mounted []string
}

// New returns an empty set.
func New(k Kernel) *Set { return &Set{kernel: k} }

type mount struct {
	kind, target string
	flags        uintptr
	data         string
}

// Base mounts /dev, /proc, /sys and /run and makes their directories, for some
// initrds have none. /run gets the options of systemd, which goes on with it.
func (s *Set) Base() error {
	const strict = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	for _, m := range []mount{
		{"devtmpfs", Dev, unix.MS_NOSUID, "mode=0755"},
		{"proc", Proc, strict, ""},
		{"sysfs", Sys, strict, ""},
		{"tmpfs", Run, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_STRICTATIME, "mode=0755,size=20%,nr_inodes=800k"},
	} {
		if err := s.mount(m); err != nil {
			return err
		}
	}
	return nil
}

// Configfs mounts configfs, through which reports are made. It exists once its
// module is loaded; fs.ErrNotExist says that this kernel has none.
func (s *Set) Configfs() error {
	err := s.mount(mount{"configfs", Configfs, unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, ""})
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// mount takes a target that is mounted already, as some initrds' /dev, for what
// it is: EBUSY means the very same file system.
func (s *Set) mount(m mount) error {
	if m.target != Configfs {
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

// Unmount takes away what was mounted, last first, except what is kept. What is
// still in use goes when its users do.
func (s *Set) Unmount(keep ...string) error {
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
