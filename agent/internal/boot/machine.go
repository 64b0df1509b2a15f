package boot

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/dmcrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/netup"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
)

// Machine is what the agent runs on; [ThisMachine] in production.
type Machine struct {
	Root      string // the initrd's root directory, "/"
	Mounts    Mounter
	Modules   Loader
	Reread    rootdisk.Reread
	Network   func(log func(format string, args ...any)) *netup.Net
	Providers []report.Provider
	// Mapper opens the device that controls device-mapper.
	Mapper func(path string) (Mapper, error)
	// Number returns the number of a block device.
	Number func(path string) (major, minor uint32, err error)
	// SetClock sets the time of day.
	SetClock func(time.Time) error
	// Enter makes a mounted directory the machine's root and working directory.
	Enter func(dir string) error
	// Release is the kernel's, as uname -r prints it.
	Release func() (string, error)
	// Exec becomes another program. It returns only when that fails.
	Exec func(path string, arguments, environment []string) error
}

// Mapper is an open [dmcrypt.Control].
type Mapper interface {
	dmcrypt.Control
	io.Closer
}

// ThisMachine returns the machine on which the kernel started the agent.
func ThisMachine() Machine {
	return Machine{
		Root: "/", Mounts: kernelMounts{}, Modules: kernelModules{}, Reread: rootdisk.KernelReread, Network: netup.New, Providers: report.Providers(),
		Mapper: func(path string) (Mapper, error) { return dmcrypt.Open(path) },
		Number: number,
		SetClock: func(now time.Time) error {
			t := unix.NsecToTimeval(now.UnixNano())
			return unix.Settimeofday(&t)
		},
		Enter: enter, Release: release,
		Exec: func(path string, arguments, environment []string) error {
			return fmt.Errorf("start %s: %w", path, unix.Exec(path, arguments, environment))
		},
	}
}

// at returns where a path of the initrd is.
func (m Machine) at(path string) string { return filepath.Join(m.Root, path) }

// control opens device-mapper.
func (m Machine) control() (Mapper, error) { return m.Mapper(m.at(dirDev + "/mapper/control")) }

// enter does what switch_root(8) does.
func enter(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("enter %s: %w", dir, err)
	}
	if err := unix.Mount(dir, "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w", dir, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("make %s the root: %w", dir, err)
	}
	return unix.Chdir("/")
}

func number(path string) (major, minor uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, errors.New("it is not a block device")
	}
	return unix.Major(st.Rdev), unix.Minor(st.Rdev), nil
}

func release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
