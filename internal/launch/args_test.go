package launch_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/asp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

func machine() launch.Machine {
	return launch.Machine{
		Disk: launch.Disk{Path: "/disks/a,b.qcow2", Format: launch.QCOW2}, Memory: 4 << 30,
		Network: launch.Network{Mode: launch.NetworkUser, SSHPort: 2222},
	}
}

// instance is the instance that is launched here.
func instance() wire.UUID { return wire.UUID{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x89} }

// pairs returns the values of each option.
func pairs(args []string) map[string][]string {
	out := make(map[string][]string)
	for i, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			continue
		}
		value := ""
		if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			value = args[i+1]
		}
		out[arg] = append(out[arg], value)
	}
	return out
}

// TestSNPArgs spells every option out: each is a promise to the AMD-SP, to the
// guest or to the disk.
func TestSNPArgs(t *testing.T) {
	g := guest(t)
	s := launch.SNP{Guest: g, Machine: machine(), Encryption: launch.Encryption{CBitPos: 47, ReducedPhysBits: 5}}
	b64 := base64.StdEncoding.EncodeToString
	object := "sev-snp-guest,id=sev0,cbitpos=47,reduced-phys-bits=5,policy=0x30000,kernel-hashes=on,id-block=" + b64(g.IDBlock) + ",id-auth=" + b64(g.IDAuth)
	want := map[string][]string{
		"-accel": {"kvm"}, "-machine": {"q35,confidential-guest-support=sev0,memory-backend=ram0,vmport=off"}, "-cpu": {"EPYC-Milan"},
		"-object": {"memory-backend-memfd,id=ram0,size=4096M,share=true,prealloc=false", object + ",author-key-enabled=on"},
		"-bios":   {g.Firmware}, "-kernel": {g.Kernel}, "-initrd": {g.Initrd}, "-append": {g.Cmdline},
		"-smp": {"2,maxcpus=2"}, "-m": {"4096M"}, "-nodefaults": {""}, "-no-user-config": {""}, "-display": {"none"}, "-no-reboot": {""},
		"-chardev": {"stdio,id=console,mux=off,signal=on"}, "-serial": {"chardev:console"},
		"-drive":  {"if=none,id=disk0,cache=writeback,driver=qcow2,file.driver=file,file.filename=/disks/a,,b.qcow2"},
		"-netdev": {"user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22"},
		"-device": {"virtio-blk-pci,drive=disk0,disable-legacy=on,iommu_platform=on", "virtio-net-pci,netdev=net0,romfile=,disable-legacy=on,iommu_platform=on"},
	}
	got := pairs(s.Args())
	for option, values := range want {
		if !slices.Equal(got[option], values) {
			t.Errorf("%s: got %q, want %q", option, got[option], values)
		}
		delete(got, option)
	}
	if len(got) != 0 {
		t.Errorf("more options: %q", got)
	}
	g.AuthorKey = false
	s.Machine.Network, s.Machine.Snapshot = launch.Network{Mode: launch.NetworkTap, Tap: "tap0"}, true
	got = pairs(s.Args())
	if got["-object"][1] != object || got["-netdev"][0] != "tap,id=net0,ifname=tap0,script=no,downscript=no" || !strings.HasSuffix(got["-drive"][0], ",snapshot=on") {
		t.Errorf("got %q", got)
	}
	s.Machine.Disk.Backing = &launch.Disk{Path: "/disks/g,1", Format: launch.Raw}
	got = pairs(s.Args())
	if want := ",backing.driver=raw,backing.read-only=on,backing.file.driver=file,backing.file.filename=/disks/g,,1,snapshot=on"; !strings.HasSuffix(got["-drive"][0], want) {
		t.Errorf("an overlay: %q", got["-drive"])
	}
	s.Machine.Network.Mode = launch.NetworkNone
	if got = pairs(s.Args()); got["-netdev"] != nil || len(got["-device"]) != 1 {
		t.Errorf("without a network: %q", got)
	}
	s.Machine.HostData = wire.HostData(instance())
	if got = pairs(s.Args()); got["-object"][1] != object+",host-data=U05QR1VBUkQtSU5TVC0xABEiM0RVZneIiQAAAAAAAAA=" {
		t.Errorf("of an instance: %q", got["-object"])
	}
}

// TestShell lets a shell read what is printed.
func TestShell(t *testing.T) {
	args := []string{"-append", "root=/dev/x a='b' $HOME `id` \\", "", "-m", "4G", "!x", "*"}
	out, err := exec.Command("sh", "-c", launch.Shell("printf", append([]string{`%s\n`}, args...))).Output()
	if err != nil || string(out) != strings.Join(args, "\n")+"\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// simulated boots a kernel of launchtest in a simulation until it ends, with more
// options for QEMU.
func simulated(t *testing.T, kernel []byte, change func(*launch.Simulation), extra ...string) *vm.VM {
	t.Helper()
	r := release(t)
	r.Kernel = kernel
	dir, m := extract(t, r)
	g, err := launch.Load(dir, m, "")
	if err != nil {
		t.Fatal(err)
	}
	amdSP, err := asp.LaunchFiles(simtest.AMD(t), sim.NewChip(snp.Milan, "a", snp.TCB{}), g, launch.Machine{}, false)
	if err != nil {
		t.Fatal(err)
	}
	socketDir, err := os.MkdirTemp("", "launch-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(socketDir); err != nil {
			t.Error(err)
		}
	})
	l, socket, err := asp.Listen(t.Context(), socketDir)
	if err != nil {
		t.Fatal(err)
	}
	go amdSP.Serve(t.Context(), l) //nolint:errcheck // the test that talks to it is of package asp
	disk := filepath.Join(dir, "disk,1")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	version, err := launch.QEMUVersion(t.Context(), launch.Program)
	if err != nil {
		t.Fatal(err)
	}
	s := launch.Simulation{
		Guest: g, Socket: socket, Version: version, Firmware: launch.FirmwareDirect,
		Machine: launch.Machine{Disk: launch.Disk{Path: disk, Format: launch.Raw}, Memory: 256 << 20, Network: launch.Network{Mode: launch.NetworkUser}},
	}
	if change != nil {
		change(&s)
	}
	v, err := vm.Start(t.Context(), slices.Concat([]string{launch.Program}, s.Args(), extra))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Stop)
	return v
}

// overlay opens an overlay whose header names another file than its golden image.
func overlay(t *testing.T) launch.Disk {
	t.Helper()
	base, overlay := disks(t)
	if err := os.Rename(base, base+",1"); err != nil {
		t.Fatal(err)
	}
	d, err := launch.OpenDisk(qemu.Files{Image: overlay, Backing: base + ",1"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSimulationBoots shows that QEMU takes the arguments, prints the guest's
// console and ends when the guest powers off or resets.
func TestSimulationBoots(t *testing.T) {
	for name, tc := range map[string]struct {
		ending launchtest.Ending
		change func(*launch.Simulation)
	}{
		"power-off":              {launchtest.PowerOff, nil},
		"reset":                  {launchtest.Reset, nil},
		"snapshot":               {launchtest.PowerOff, func(s *launch.Simulation) { s.Machine.Snapshot = true }},
		"overlay":                {launchtest.PowerOff, func(s *launch.Simulation) { s.Machine.Disk = overlay(t) }},
		"snapshot of an overlay": {launchtest.PowerOff, func(s *launch.Simulation) { s.Machine.Disk, s.Machine.Snapshot = overlay(t), true }},
		"offline":                {launchtest.PowerOff, func(s *launch.Simulation) { s.Machine.Network.Mode = launch.NetworkNone }},
	} {
		t.Run(name, func(t *testing.T) {
			v := simulated(t, launchtest.Kernel("the guest is here\n", tc.ending), tc.change)
			if _, err := v.Expect("the guest is here", time.Minute); err != nil {
				t.Fatal(err)
			}
			if code, err := v.Wait(time.Minute); err != nil || code != 0 {
				t.Errorf("exit code %d, %v", code, err)
			}
		})
	}
}

// TestNoSimulatedAMDSP: without its socket QEMU does not start.
func TestNoSimulatedAMDSP(t *testing.T) {
	v := simulated(t, launchtest.Kernel("started", launchtest.PowerOff), func(s *launch.Simulation) { s.Socket += "-gone" })
	if code, err := v.Wait(time.Minute); err != nil || code == 0 || strings.Contains(v.Log(), "started") {
		t.Errorf("exit code %d, %v, %s", code, err, v.Log())
	}
}

// TestHashesFile: the table and its place are the measured ones.
func TestHashesFile(t *testing.T) {
	g := guest(t)
	h, err := g.WriteHashes(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(h.Path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := measure.HashKernel(strings.NewReader("kernel"), strings.NewReader("initrd"), g.Cmdline)
	if err != nil || string(table) != string(want.Table()) || h.GPA != 0x810c00 {
		t.Errorf("table %x at %#x, %v", table, h.GPA, err)
	}
	if err := os.WriteFile(g.Firmware, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.WriteHashes(t.TempDir()); err == nil {
		t.Error("made a table for no firmware")
	}
}

// TestAmdSevArgs: QEMUs before 10.0 are told to hand on the kernel unchanged;
// later ones do so and take no second file of that name.
func TestAmdSevArgs(t *testing.T) {
	s := launch.Simulation{
		Guest: guest(t), Machine: machine(), Firmware: launch.FirmwareAmdSev,
		Hashes: &launch.HashesFile{Path: "/run/a,b", GPA: 0x810c00}, Version: launch.Version{Major: 9, Minor: 2},
	}
	got := pairs(s.Args())
	if !slices.Contains(got["-device"], "loader,file=/run/a,,b,addr=0x810c00,force-raw=on") || got["-bios"][0] != s.Guest.Firmware ||
		!slices.Equal(got["-fw_cfg"], []string{"name=etc/boot/kernel,file=" + s.Guest.Kernel}) || got["-cpu"][0] != "max,la57=off,cx16=off" {
		t.Errorf("got %q", got)
	}
	s.Version, s.KVM = launch.Version{Major: 10}, true
	if got = pairs(s.Args()); got["-fw_cfg"] != nil || got["-accel"][0] != "kvm" || got["-cpu"][0] != "host" {
		t.Errorf("got %q", got)
	}
}
