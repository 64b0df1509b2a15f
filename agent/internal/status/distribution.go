package status

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// PathInitrd is where the file waits in an initrd that mounts its own /run later.
const PathInitrd = bootconf.Dir + "/status.json"

// orderFile lists what the initrd of initramfs-tools runs last. It is a piece of
// shell that the initrd's init reads at that moment; /run is its own by then and
// moves to the root file system afterwards.
const orderFile = "scripts/init-bottom/ORDER"

// orderLine has the agent carry both over. It takes no input from anywhere.
const orderLine = bootconf.PathAgent + " keep\n"

// Arrange makes sure that the status and the agent survive the change to the real
// root, and writes them. root is the initrd's, "/" in production. An initrd that
// keeps a /run which is mounted already, as those with systemd do, gets both there,
// and keepRun is true; for initramfs-tools, which mounts another one over it, the
// status waits in the initrd until "snpguard-agent keep" runs.
func Arrange(root string, s *Status) (keepRun bool, err error) {
	order, err := os.OpenFile(filepath.Join(root, orderFile), os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.Write(filepath.Join(root, Path)); err != nil {
			return false, err
		}
		return true, Leave(root)
	}
	if err != nil {
		return false, fmt.Errorf("prepare the status: %w", err)
	}
	_, err = order.WriteString(orderLine)
	if err := errors.Join(err, order.Close()); err != nil {
		return false, fmt.Errorf("prepare the status: %w", err)
	}
	return false, s.Write(filepath.Join(root, PathInitrd))
}

// Keep copies both from the initrd to the /run that will be the system's.
func Keep(root string) error {
	encoded, err := read(filepath.Join(root, PathInitrd))
	if err != nil {
		return err
	}
	if err := (kernel{unix.Statfs, unix.Mount}).executable(filepath.Dir(filepath.Join(root, Path))); err != nil {
		return err
	}
	if err := write(filepath.Join(root, Path), encoded); err != nil {
		return err
	}
	return Leave(root)
}

// kept are the options of the file system that executable mounts.
const kept = "size=64m,mode=0700"

// kernel is what executable asks for.
type kernel struct {
	statfs func(path string, out *unix.Statfs_t) error
	mount  func(source, target, kind string, flags uintptr, data string) error
}

// executable makes a directory in which programs can run. initramfs-tools mounts its
// /run noexec; what is mounted below it moves to the real root with it.
func (k kernel) executable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep the agent: %w", err)
	}
	var below unix.Statfs_t
	if err := k.statfs(dir, &below); err != nil {
		return fmt.Errorf("keep the agent: %s: %w", dir, err)
	}
	if below.Flags&unix.MS_NOEXEC == 0 {
		return nil
	}
	if err := k.mount("tmpfs", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, kept); err != nil {
		return fmt.Errorf("keep the agent: mount %s: %w", dir, err)
	}
	return nil
}
