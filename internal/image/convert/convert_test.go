package convert

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Image, staging directory and keys of a conversion belong together.
func TestConvert(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o, ingestion := tinyOptions(t, tinyImage(t, tinyTree(t)))
	o.Format, o.RecoveryRecipients, o.AllowDiscards = Raw, []string{identity.Recipient().String()}, true
	events := &recorder{}
	o.Events = events
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := outputs(t, o); !slices.Equal(got, []string{"image", "staging"}) {
		t.Errorf("left %q", got)
	}
	told, err := staging.Read(o.Staging)
	if err != nil || told.Check(o.Staging) != nil || told.ImageID != c.ImageID {
		t.Errorf("conversion.json: %+v, %v", told, err)
	}
	if c.OS != "Tiny 1" || c.Kernel != tinyRelease || c.BootEntry != "Tiny" || !strings.Contains(c.Cmdline, "quiet") || !strings.Contains(c.Cmdline, "rdinit=/snpguard/agent") {
		t.Errorf("%+v", c)
	}
	if !slices.ContainsFunc(c.Findings, func(f staging.Finding) bool {
		return f.Code == harden.CodeInterrupts && strings.Contains(f.Detail, tinyRelease)
	}) {
		t.Errorf("nothing is said of the kernel's age: %+v", c.Findings)
	}
	if len(events.steps) < 5 || events.progress == 0 {
		t.Errorf("told %q, %d bytes", events.steps, events.progress)
	}
	disk, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(disk, []byte("this must not be seen")) || bytes.Contains(disk, []byte("os-release")) {
		t.Error("the source stands in the image in clear")
	}
	root := c.Disk.Partitions[0]
	vmk := openedKeys(t, o, c, ingestion, disk[root.Offset:])
	if recovered := recovery(t, o, identity); !bytes.Equal(recovered, vmk) {
		t.Error("recovery gives another key")
	}
	if content := decryptedFile(t, disk[root.Offset:][:root.Size], vmk, "etc/secret"); content != "this must not be seen" {
		t.Errorf("found %q", content)
	}
	if c.Initrd != bootconf.InitrdMinimal || c.OptionalModules {
		t.Errorf("initrd %q, optional modules %t", c.Initrd, c.OptionalModules)
	}
}

// TestSourceIsBlamedForItsOwn converts a file system whose quotas mke2fs and debugfs
// leave stale, and refuses one with a block in two files.
func TestSourceIsBlamedForItsOwn(t *testing.T) {
	o, _ := tinyOptions(t, tinyDisk(t, rootfstest.Make(t, 16, tinyTree(t), "-t", "ext4", "-I", "256", "-O", "quota,project")))
	if _, err := Convert(context.Background(), o); err != nil {
		t.Error(err)
	}
	root := rootfstest.Make(t, 16, tinyTree(t), "-t", "ext2")
	block, _, _ := strings.Cut(rootfstest.Run(t, "debugfs", []string{"-R", "bmap /etc/fstab 0", root}), "\n")
	rootfstest.Debugfs(t, root, "sif /etc/secret block[0] "+block)
	o, _ = tinyOptions(t, tinyDisk(t, root))
	if _, err := Convert(context.Background(), o); !errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), "in the source, before any change") {
		t.Errorf("damaged source: %v", err)
	}
}

// TestKernelInstallLayout has kernel and initrd where kernel-install puts them for
// systemd-boot, in the root or on a partition of their own (XBOOTLDR).
func TestKernelInstallLayout(t *testing.T) {
	for _, separate := range []bool{false, true} {
		tree := tinyTree(t)
		boot := filepath.Join(tree, "boot")
		if err := errors.Join(os.RemoveAll(filepath.Join(boot, "grub")), os.MkdirAll(filepath.Join(boot, "token", tinyRelease), 0o755),
			os.Rename(filepath.Join(boot, "vmlinuz-"+tinyRelease), filepath.Join(boot, "token", tinyRelease, "linux")),
			os.Rename(filepath.Join(boot, "initrd.img-"+tinyRelease), filepath.Join(boot, "token", tinyRelease, "initrd")),
			os.Rename(filepath.Join(boot, "config-"+tinyRelease), filepath.Join(tree, "lib/modules", tinyRelease, "config"))); err != nil {
			t.Fatal(err)
		}
		prefix := "/boot"
		if separate {
			prefix = ""
		}
		dir := prefix + "/token/" + tinyRelease
		put(t, boot, "loader/entries/token-"+tinyRelease+".conf", "title Tiny\noptions root=/dev/vda1 ro\nlinux "+dir+"/linux\ninitrd "+dir+"/initrd\n")
		var images []string
		if separate {
			images = append(images, rootfstest.Make(t, 4, boot, "-U", "11111111-2222-4333-8444-555555555555"))
			if err := os.RemoveAll(boot); err != nil {
				t.Fatal(err)
			}
		}
		o, _ := tinyOptions(t, tinyDisk(t, append([]string{rootfstest.Make(t, 8, tree)}, images...)...))
		c, err := Convert(context.Background(), o)
		if err != nil {
			t.Errorf("separate %t: %v", separate, err)
			continue
		}
		if c.Kernel != tinyRelease || c.BootEntry != "Tiny" || separate != slices.Contains(c.Edits, "/boot/token/"+tinyRelease+"/linux") {
			t.Errorf("separate %t: %+v", separate, c)
		}
	}
}

// TestUnfitInitrds has initrds behind which the kernel would not find the agent, or
// the agent nothing to go on with.
func TestUnfitInitrds(t *testing.T) {
	for want, content := range map[string]string{
		"starts no archive":       tinyInitrd(t, "init") + "SIGNATURE",
		"after a multiple of 4":   tinyInitrd(t, "init") + "\x00" + tinyInitrd(t, "init"),
		"no /init":                tinyInitrd(t, "sbin/init"),
		"holds an agent":          tinyInitrd(t, "init", "snpguard/agent"),
		"kernel reads none of it": string(gzipped(t, tinyInitrd(t, "init"))),
	} {
		tree := tinyTree(t)
		put(t, tree, "boot/initrd.img-"+tinyRelease, content)
		if want == "kernel reads none of it" {
			put(t, tree, "boot/config-"+tinyRelease, "CONFIG_AMD_MEM_ENCRYPT=y\n# CONFIG_RD_GZIP is not set\n")
		}
		o, _ := tinyOptions(t, tinyImage(t, tree))
		o.Initrd = bootconf.InitrdDistribution
		if _, err := Convert(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "initrd.img-"+tinyRelease) {
			t.Errorf("%s: %v", want, err)
		}
		if left := outputs(t, o); len(left) > 0 {
			t.Errorf("%s: left %q", want, left)
		}
		found, err := Inspect(context.Background(), o.Input, nil)
		if err != nil || len(found.Problems) != 0 || !strings.Contains(found.InitrdProblem, want) {
			t.Errorf("%s: inspection: %+v, %v", want, found, err)
		}
		o.Initrd = bootconf.InitrdMinimal // holds nothing of it
		if _, err := Convert(context.Background(), o); err != nil {
			t.Errorf("%s: with an initrd of its own: %v", want, err)
		}
	}
}

func gzipped(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type recorder struct {
	steps    []string
	notes    []string
	progress int64
}

func (r *recorder) Step(what string)           { r.steps = append(r.steps, what) }
func (r *recorder) Note(what string)           { r.notes = append(r.notes, what) }
func (r *recorder) Progress(done, total int64) { r.progress = min(done, total) }

// A separate /boot moves in, whatever fstab calls it, and the asked-for entry is
// taken.
func TestConvertWithBoot(t *testing.T) {
	tree := tinyTree(t)
	boot := t.TempDir()
	if err := os.Rename(filepath.Join(tree, "boot"), filepath.Join(boot, "boot")); err != nil {
		t.Fatal(err)
	}
	boot = filepath.Join(boot, "boot")
	if err := os.Link(filepath.Join(boot, "config-"+tinyRelease), filepath.Join(boot, "config")); err != nil {
		t.Fatal(err)
	}
	menu := "linux /vmlinuz-" + tinyRelease + " root=/dev/vda1\ninitrd /initrd.img-" + tinyRelease + "\n}\n"
	put(t, boot, "grub/grub.cfg", "menuentry 'First' {\n"+menu+"menuentry 'Second' {\n"+menu)
	put(t, tree, "etc/fstab", "/dev/vda1 / ext4 defaults 0 1\nLABEL=BOOT /boot ext4 defaults 0 2\n")
	o, _ := tinyOptions(t, tinyDisk(t, rootfstest.Make(t, 8, tree), rootfstest.Make(t, 4, boot, "-L", "BOOT", "-U", "11111111-2222-4333-8444-555555555555")))
	o.EncryptFreeSpace, o.Size, o.ArtifactsSize = true, "64M", "8M"
	o.Choose = func(entries []Choice) (int, error) {
		if len(entries) != 2 || !entries[0].Default || entries[0].Reason != "" {
			t.Errorf("asked to choose of %+v", entries)
		}
		return 1, nil
	}
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if c.BootEntry != "Second" || c.Disk.Size != 64*mib || c.Disk.Format != QCOW2 {
		t.Errorf("%+v", c)
	}
	for _, want := range []string{"/boot/vmlinuz-" + tinyRelease, "/boot/grub/grub.cfg", "/boot/config", "/etc/fstab"} {
		if !slices.Contains(c.Edits, want) {
			t.Errorf("%s is not among %q", want, c.Edits)
		}
	}
	found, err := Inspect(context.Background(), o.Output, nil)
	if err != nil || len(found.Problems) != 1 || !strings.Contains(found.Problems[0], "converted already") || !found.Partitions[0].Converted {
		t.Errorf("inspecting what came out: %+v, %v", found, err)
	}
	o.Choose = func([]Choice) (int, error) { return 0, io.ErrUnexpectedEOF }
	o.Replace = true
	if _, err := Convert(context.Background(), o); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("nobody answers: %v", err)
	}
}

// Words of the boot entry that are not known are left out, or kept for an owner
// who asks; both are findings.
func TestKeepArguments(t *testing.T) {
	tree := tinyTree(t)
	put(t, tree, "boot/grub/grub.cfg", "menuentry 'Tiny' {\nlinux /boot/vmlinuz-"+tinyRelease+
		" root=/dev/vda1 ro ip=dhcp systemd.mask=ssh.service quiet\ninitrd /boot/initrd.img-"+tinyRelease+"\n}\n")
	source := tinyImage(t, tree)
	o, _ := tinyOptions(t, source)
	o.KeepArguments = []string{"ip="}
	events := &recorder{}
	o.Events = events
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Cmdline, "ro ip=dhcp quiet rdinit=") {
		t.Errorf("command line: %s", c.Cmdline)
	}
	if got := slices.DeleteFunc(c.Findings, func(f staging.Finding) bool { return !strings.HasPrefix(f.Code, "cmdline-") }); !slices.EqualFunc(got,
		[]string{"cmdline-dropped true systemd.mask=ssh.service", "cmdline-kept false ip=dhcp"}, func(f staging.Finding, want string) bool {
			return fmt.Sprintf("%s %t %s", f.Code, f.Mended, strings.Split(f.Detail, `"`)[1]) == want && f.Path == "boot/grub/grub.cfg"
		}) {
		t.Errorf("findings: %+v", got)
	}
	if !slices.ContainsFunc(events.notes, func(note string) bool { return strings.Contains(note, "systemd.mask=ssh.service") }) {
		t.Errorf("the operator is told %q", events.notes)
	}
	for _, keep := range []string{"root=", "nfsroot=1.2.3.4:/"} {
		o, _ = tinyOptions(t, source)
		o.KeepArguments = []string{keep}
		if _, err := Convert(context.Background(), o); !isOption(err, "keep_arguments") {
			t.Errorf("%s: %v", keep, err)
		}
	}
	found, err := Inspect(context.Background(), source, nil)
	if err != nil || found.OS == nil {
		t.Fatal(err)
	}
	dropped := 0
	for _, f := range found.OS.Findings {
		if f.Code == "cmdline-dropped" {
			dropped++
		}
	}
	if dropped != 2 {
		t.Errorf("inspecting finds %+v", found.OS.Findings)
	}
}

func TestConvertWithoutEncryption(t *testing.T) {
	source := tinyImage(t, tinyTree(t))
	o, _ := tinyOptions(t, source)
	o.NoEncryption, o.Format, o.Service, o.Agent, o.CmdlineAppend, o.ArtifactsSize = true, Raw, Service{}, nil, "more", "0"
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(o.Output)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the disk was changed, %v", err)
	}
	if c.Encrypted || c.Cmdline != "root=/dev/vda1 ro quiet more" {
		t.Errorf("%+v", c)
	}
	o.Replace = true
	for _, size := range []int{9 * mib, 10*mib - 1} {
		o.Size = strconv.Itoa(size)
		if _, err := Convert(context.Background(), o); !isOption(err, "size") {
			t.Errorf("a disk of %d bytes: %v", size, err)
		}
	}
	o.Size = "20M"
	if _, err := Convert(context.Background(), o); err != nil {
		t.Error(err)
	}
	o.Size, o.ArtifactsSize = "", "8M"
	if c, err = Convert(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	last := c.Disk.Partitions[len(c.Disk.Partitions)-1]
	after, err = os.ReadFile(o.Output)
	if err != nil || last.Name != slots.Label || !bytes.Equal(before[mib:9*mib], after[mib:9*mib]) {
		t.Fatalf("%+v, %v", last, err)
	}
	part := memoryDisk(after[last.Offset:][:last.Size])
	if p, err := slots.Open(part, last.Size); err != nil || p.State().Active != slots.A {
		t.Errorf("the slots: %v", err)
	}
	if table, err := gpt.Read(memoryDisk(after), int64(len(after)), 512); err != nil || table.Damage != nil {
		t.Errorf("the table: %v", err)
	}
}

func isOption(err error, name option.Name) bool {
	var wrong *option.Error
	return errors.As(err, &wrong) && wrong.Option == name
}

// A conversion that fails leaves nothing, and names what it keeps when told to.
func TestFailuresLeaveNothing(t *testing.T) {
	source := tinyImage(t, tinyTree(t))
	for name, test := range map[string]struct {
		change func(*Options)
		want   func(error) bool
	}{
		"no such kernel": {func(o *Options) { o.Kernel = "9.9" }, func(err error) bool { return isOption(err, "kernel") && errors.Is(err, osinfo.ErrNoKernel) }},
		"too small":      {func(o *Options) { o.Size = "10M" }, func(err error) bool { return isOption(err, "size") }},
		"bad package":    {func(o *Options) { o.ModulePackages = []string{source} }, func(err error) bool { return isOption(err, "module_packages") }},
		"undoing":        {func(o *Options) { o.CmdlineAppend = "rdinit=/bin/sh" }, func(err error) bool { return strings.Contains(err.Error(), "rdinit") }},
		"no image":       {func(o *Options) { o.Input = o.Firmware }, func(err error) bool { return strings.Contains(err.Error(), "no partition table") }},
	} {
		o, _ := tinyOptions(t, source)
		test.change(o)
		if _, err := Convert(context.Background(), o); err == nil || !test.want(err) {
			t.Errorf("%s: %v", name, err)
		}
		if left := outputs(t, o); len(left) != 0 {
			t.Errorf("%s: left %q", name, left)
		}
		o.KeepOnFailure = true
		_, err := Convert(context.Background(), o)
		left := outputs(t, o)
		if len(left) != 2 {
			t.Fatalf("%s: kept %q", name, left)
		}
		for _, kept := range left {
			if !strings.Contains(err.Error(), kept) {
				t.Errorf("%s: %s is not named: %v", name, kept, err)
			}
		}
	}
	o, _ := tinyOptions(t, source)
	ctx, cancel := context.WithCancel(context.Background())
	o.Choose = func([]Choice) (int, error) { cancel(); return 0, nil }
	if _, err := Convert(ctx, o); !errors.Is(err, errInterrupted) || len(outputs(t, o)) != 0 {
		t.Errorf("interrupted: %v, left %q", err, outputs(t, o))
	}
}

func TestInspect(t *testing.T) {
	found, err := Inspect(context.Background(), tinyImage(t, tinyTree(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if found.OS == nil || !slices.ContainsFunc(found.OS.Findings, func(f harden.Finding) bool { return f.Code == harden.CodeInterrupts }) {
		t.Errorf("nothing is said of the kernel's age: %+v", found.OS)
	}
	if found.OS == nil || found.OS.Name != "Tiny 1" || found.Kernel != tinyRelease || found.Partitions[0].Role != "root" || found.Table != "GPT" {
		t.Errorf("%+v", found)
	}
	tree := tinyTree(t)
	put(t, tree, "etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n/dev/vda2 /home ext4 defaults 0 2\n")
	found, err = Inspect(context.Background(), tinyDisk(t, rootfstest.Make(t, 8, tree), rootfstest.Make(t, 4, "")), nil)
	if err != nil || len(found.Problems) == 0 || !strings.Contains(found.Problems[0], `partition 2 (ext4) on "/home"`) {
		t.Errorf("%+v, %v", found, err)
	}
}

// The keys of an image are sealed to what they say and wiped in the end.
func TestKeys(t *testing.T) {
	ingestion, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeys(ingestion.Public())
	if err != nil {
		t.Fatal(err)
	}
	commitment := wire.VMKCommitment(k.image, k.vmk)
	if k.commitment != hex.EncodeToString(commitment[:]) || len(k.sealedVMK) != wire.SealedVMKSize || len(k.unsealingKey) != wire.SealedUnsealingKeySize {
		t.Errorf("%+v", k)
	}
	if _, err := ingestion.Open(wire.UnsealingKeyInfo(wire.NewUUID()), k.unsealingKey); err == nil {
		t.Error("the unsealing key opens for another image")
	}
	if allZero(k.vmk) {
		t.Error("the VMK is zero")
	}
	if k.wipe(); !allZero(k.vmk) {
		t.Error("the VMK was not wiped")
	}
	var out bytes.Buffer
	if err := k.recover(&out, nil); err == nil {
		t.Error("recovery for nobody")
	}
}
