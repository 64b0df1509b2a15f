package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/netup"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// computer is a machine of files: its kernel notes what the agent asks for, and
// refuses what is in fail.
type computer struct {
	t    *testing.T
	dir  string
	log  lines
	did  []string
	fail map[string]error

	arguments, environment []string // of the program that was started last
	clock                  time.Time
	number                 [2]uint32 // of the device to which the root's name leads
}

// newComputer returns it with a boot that has its configuration.
func newComputer(t *testing.T) (*computer, *Boot) {
	t.Helper()
	c := &computer{t: t, dir: t.TempDir(), fail: map[string]error{}}
	b := &Boot{Log: timeline.New(&c.log, time.Now), Version: "1.2.3", config: config(false), Machine: Machine{
		Root: c.dir, Mounts: c, Modules: c,
		Exec: func(path string, arguments, environment []string) error {
			c.arguments, c.environment = arguments, environment
			return c.do("exec " + path)
		},
		Number:   func(string) (uint32, uint32, error) { return c.number[0], c.number[1], c.fail["number"] },
		SetClock: func(now time.Time) error { c.clock = now; return c.do("clock") },
		Release:  func() (string, error) { return "6.12.1", c.fail["uname"] },
		Reread:   func(*os.File) error { return c.do("reread") },
		Mapper: func(path string) (Mapper, error) {
			return (*mapper)(c), c.do("open " + strings.TrimPrefix(path, c.dir))
		},
		Network: func(log func(string, ...any)) *netup.Net {
			return &netup.Net{Kernel: (*network)(c), Log: log, Poll: time.Second}
		},
	}}
	b.Machine.Enter = func(dir string) error {
		b.Machine.Root = filepath.Join(c.dir, dir)
		return c.do("enter " + dir)
	}
	return c, b
}

func (c *computer) do(what string) error {
	c.did = append(c.did, what)
	return c.fail[what]
}

// asked returns what was asked for since the last time.
func (c *computer) asked() string {
	defer func() { c.did = nil }()
	return strings.Join(c.did, ", ")
}

func (c *computer) write(path string, content []byte) {
	c.t.Helper()
	path = filepath.Join(c.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *computer) Mkdir(string, fs.FileMode) error { return nil }

func (c *computer) Mount(source, target, kind string, flags uintptr, data string) error {
	target = strings.TrimPrefix(target, c.dir)
	switch {
	case flags&unix.MS_MOVE != 0:
		return c.do("move " + source + " " + target)
	case flags&unix.MS_REMOUNT != 0:
		return c.do(fmt.Sprintf("remount %s %#x", target, flags))
	case flags&unix.MS_BIND != 0:
		return c.do("bind " + strings.TrimPrefix(source, c.dir) + " " + target)
	case strings.HasPrefix(source, c.dir):
		return c.do(fmt.Sprintf("mount %s %s %s %#x %q", strings.TrimPrefix(source, c.dir), target, kind, flags, data))
	}
	return c.do("mount " + target)
}

func (c *computer) Unmount(target string, _ int) error { return c.do("unmount " + target) }

func (c *computer) Load(path string) error { return c.do("load " + strings.TrimPrefix(path, c.dir)) }

// mapper is device-mapper, which makes dm-3.
type mapper computer

func (m *mapper) Close() error { return nil }

func (m *mapper) Call(command uint, arguments []byte) error {
	name := map[uint]string{0xC138FD03: "create", 0xC138FD04: "remove", 0xC138FD06: "resume", 0xC138FD09: "load"}[command]
	if name == "create" {
		binary.LittleEndian.PutUint64(arguments[40:], 253<<8|3)
	}
	return (*computer)(m).do(name)
}

// network has one interface.
type network computer

func (*network) Links() ([]netup.Link, error) {
	return []netup.Link{{Name: "eth0", Index: 2, MAC: []byte{2, 0, 0, 0, 0, 1}, MTU: 1500}}, nil
}
func (n *network) Up(l netup.Link) error                           { return (*computer)(n).do("up " + l.Name) }
func (n *network) Down(l netup.Link) error                         { return (*computer)(n).do("down " + l.Name) }
func (n *network) Apply(netup.Link, netup.Settings) error          { return (*computer)(n).do("apply") }
func (*network) Autoconfigured(netup.Link) (netup.Settings, error) { return netup.Settings{}, nil }

const diskSize, partitionStart, partitionSize = 40 << 20, 1 << 20, 24 << 20

// disk gives the machine a disk with the root's partition, and the kernel's idea
// of it.
func (c *computer) disk(name string) {
	c.t.Helper()
	guid, err := gpt.ParseGUID(config(false).Root.PartitionGUID)
	if err != nil {
		c.t.Fatal(err)
	}
	table := &gpt.Table{SectorSize: 512, Partitions: []gpt.Partition{
		{Number: 1, Type: gpt.GUID{1}, GUID: guid, First: partitionStart / 512, Last: (partitionStart+partitionSize)/512 - 1},
	}}
	c.write("dev/"+name, nil)
	f, err := os.OpenFile(filepath.Join(c.dir, "dev", name), os.O_RDWR, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Truncate(diskSize), table.Write(f, diskSize)); err != nil {
		c.t.Fatal(err)
	}
	sys := "sys/class/block/" + name
	c.write(sys+"/size", fmt.Append(nil, diskSize/512))
	c.write(sys+"/queue/logical_block_size", []byte("512"))
	c.kernelSize(name, partitionSize)
}

// kernelSize sets how long the kernel takes partition 1 to be.
func (c *computer) kernelSize(disk string, size int) {
	sys := "sys/class/block/" + disk
	for _, part := range []string{sys + "1", sys + "/" + disk + "1"} {
		c.write(part+"/partition", []byte("1"))
		c.write(part+"/start", fmt.Append(nil, partitionStart/512))
		c.write(part+"/size", fmt.Append(nil, size/512))
		c.write(part+"/dev", []byte("254:1"))
	}
}

// sealed is what lies in the root's partition for the service to open.
func (c *computer) sealed(image [16]byte) []byte {
	c.t.Helper()
	sealed := bytes.Repeat([]byte{7}, wire.SealedVMKSize)
	record, err := vmkrecord.Encode(image, sealed)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("dev/vda1", append(make([]byte, config(false).Root.SealedVMKOffset), record...))
	return sealed
}

// unlocked is a boot that has got its key.
func unlocked(t *testing.T) (*computer, *Boot) {
	t.Helper()
	c, b := newComputer(t)
	b.root = &rootdisk.Partition{Name: "vda1", Major: 254, Minor: 1, Size: partitionSize}
	b.key, b.state = bytes.Repeat([]byte{9}, 64), wire.StateNone
	b.grant = &unlock.Result{
		State: wire.StateNone, Golden: b.key, Service: "https://a", Path: "eth0",
		Evidence: &report.Evidence{Report: make([]byte, report.Size), Provider: "configfs-tsm"},
	}
	c.write("dev/dm-3", nil)
	c.write(bootconf.PathAgent, []byte("an agent"))
	c.write(bootconf.PathConfig, []byte("{}"))
	return c, b
}

// refused is what the kernel says to what a test has it refuse.
const refused = unix.EIO

// firmware gives reports of a launch with this HOST_DATA.
type firmware struct{ hostData [wire.HostDataSize]byte }

func (firmware) Name() string { return "firmware" }

func (f firmware) Report(data [report.DataSize]byte) (*report.Evidence, error) {
	e := &report.Evidence{Report: make([]byte, report.Size)}
	copy(e.Report[0x50:], data[:])
	copy(e.Report[0xC0:], f.hostData[:])
	return e, nil
}
