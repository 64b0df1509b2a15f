package boot

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	// Exec becomes another program, with the arguments that the agent was
	// started with. It returns only when that fails.
	Exec func(path string) error
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
		Exec: func(path string) error {
			return fmt.Errorf("start %s: %w", path, unix.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ()))
		},
	}
}

// at returns where a path of the initrd is.
func (m Machine) at(path string) string { return filepath.Join(m.Root, path) }

// control opens device-mapper.
func (m Machine) control() (Mapper, error) { return m.Mapper(m.at(dirDev + "/mapper/control")) }
