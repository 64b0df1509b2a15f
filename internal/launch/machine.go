package launch

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// ErrMachine is a machine that cannot be made.
var ErrMachine = errors.New("invalid machine")

// Machine is what the host adds to a guest. Nothing in it is measured.
type Machine struct {
	Disk     Disk
	Memory   int64 // in bytes, whole MiB
	Network  Network
	Snapshot bool // forget what the guest writes

	// HostData goes into the guest's reports: wire.HostData of the instance that is
	// launched, or zero for none.
	HostData [wire.HostDataSize]byte
}

// Bounds of a machine's memory in bytes. Below the first, OVMF and an initrd have
// no room.
const (
	minMemory = 256 << 20
	maxMemory = 16 << 40
)

// ParseMemory reads a size of whole MiB, such as 4G or 512M. The error wraps
// ErrMachine.
func ParseMemory(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n < minMemory {
		return 0, fmt.Errorf("%w: memory %q has no unit, and would be bytes: want %dM", ErrMachine, s, n)
	}
	n, err := size.Parse(s)
	if err != nil || n%(1<<20) != 0 || n < minMemory || n > maxMemory {
		return 0, fmt.Errorf("%w: memory %q, want a size such as 4G or 512M, from %s to %s", ErrMachine, s, size.Text(minMemory), size.Text(maxMemory))
	}
	return n, nil
}

// Network says how a guest reaches the world.
type Network struct {
	Mode    string // NetworkUser, NetworkTap or NetworkNone
	Tap     string // name of the host's interface, for NetworkTap
	SSHPort int    // port on 127.0.0.1 that leads to the guest's port 22, or 0; for NetworkUser
}

// The kinds of networks.
const (
	NetworkUser = "user" // QEMU's own: the guest has 10.0.2.15, the host is 10.0.2.2
	NetworkTap  = "tap"
	NetworkNone = "none"
)

// interfaceName is what Linux takes as a name (IFNAMSIZ), without what QEMU would
// split at.
var interfaceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

// ParseNetwork reads "user", "tap=NAME" or "none". The error wraps ErrMachine.
func ParseNetwork(s string) (Network, error) {
	if name, ok := strings.CutPrefix(s, NetworkTap+"="); ok {
		if !interfaceName.MatchString(name) {
			return Network{}, fmt.Errorf("%w: interface name %q", ErrMachine, name)
		}
		return Network{Mode: NetworkTap, Tap: name}, nil
	}
	if s == NetworkUser || s == NetworkNone {
		return Network{Mode: s}, nil
	}
	return Network{}, fmt.Errorf("%w: network %q, want user, tap=NAME or none", ErrMachine, s)
}

// WithSSH returns the network with a port of 127.0.0.1 led to the guest's SSH; 0
// means none. The error wraps ErrMachine.
func (n Network) WithSSH(port int) (Network, error) {
	switch {
	case port < 0 || port > 65535:
		return n, fmt.Errorf("%w: port %d", ErrMachine, port)
	case port != 0 && n.Mode != NetworkUser:
		return n, fmt.Errorf("%w: only the network \"user\" leads a port to the guest", ErrMachine)
	}
	n.SSHPort = port
	return n, nil
}

// args returns the options of QEMU that every guest has; virtio are the properties
// of each virtio device.
func (m Machine) args(g *Guest, virtio string) []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-smp", fmt.Sprintf("%d,maxcpus=%d", g.VCPUs.Count, g.VCPUs.Count),
		"-m", fmt.Sprintf("%dM", m.Memory>>20),
		"-kernel", g.Kernel, "-initrd", g.Initrd, "-append", g.Cmdline,
		// signal=on: Ctrl-C ends QEMU and is not typed into the guest.
		"-chardev", "stdio,id=console,mux=off,signal=on", "-serial", "chardev:console",
	}
	drive := "if=none,id=disk0,cache=" + diskCache + "," + m.Disk.options()
	if m.Snapshot {
		drive += ",snapshot=on"
	}
	args = append(args, "-drive", drive, "-device", "virtio-blk-pci,drive=disk0"+virtio)
	switch m.Network.Mode {
	case NetworkUser:
		netdev := "user,id=net0"
		if m.Network.SSHPort != 0 {
			netdev += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:22", m.Network.SSHPort)
		}
		args = append(args, "-netdev", netdev)
	case NetworkTap:
		args = append(args, "-netdev", "tap,id=net0,ifname="+m.Network.Tap+",script=no,downscript=no")
	default:
		return args
	}
	// Without a ROM: nothing boots from the network.
	return append(args, "-device", "virtio-net-pci,netdev=net0,romfile="+virtio)
}

// hostData returns HOST_DATA as QEMU and libvirt take it, or nothing where it is zero,
// which is what the AMD-SP reports then.
func (m Machine) hostData() string {
	if m.HostData == [wire.HostDataSize]byte{} {
		return ""
	}
	return base64.StdEncoding.EncodeToString(m.HostData[:])
}

// escape doubles commas, as QEMU wants them in the values of options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }
