package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// segment is what makes the initrd, read before the root changes.
type segment struct {
	initrd.Segment
	compression  decompress.Format
	distribution string // file with the distribution's initrd; "" where the segment is all
}

// readSegment gathers what goes into the initrd.
func (c *conversion) readSegment(sys *system, k *keys, l *layout) (*segment, error) {
	tree, err := kmod.Open(sys.input.Root, sys.choice.Kernel.Release, sys.input.Packages...)
	if err != nil {
		return nil, err
	}
	closure, err := tree.Closure(kmod.ForInitrd(c.Initrd == bootconf.InitrdMinimal, string(sys.root.fs.Type())))
	if err != nil {
		return nil, err
	}
	c.record.Modules = initrd.ModuleFiles(closure.Modules)
	config, err := c.bootConfig(sys, k, l).Encode()
	if err != nil {
		return nil, err
	}
	s := &segment{
		Segment:     initrd.Segment{Agent: c.Agent, Config: config, Modules: closure.Modules},
		compression: sys.choice.Kernel.Compression,
	}
	if c.Initrd == bootconf.InitrdDistribution {
		s.distribution, err = c.copyDistribution(sys)
	}
	return s, err
}

// writeInitrd writes the initrd into the staging directory.
func (c *conversion) writeInitrd(s *segment) error {
	f, err := os.OpenFile(filepath.Join(c.staged(), staging.NameInitrd), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if s.distribution != "" {
		err = s.appendTo(f)
	} else {
		err = initrd.Write(f, s.Segment, s.compression)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// chooseMount says how the agent mounts the root, where it does: as the measured
// command line has it, and of a btrfs the subvolume that was looked into.
func (c *conversion) chooseMount(cmdline string, root *workingCopy) (bootconf.Mount, error) {
	if c.Initrd == bootconf.InitrdDistribution {
		return bootconf.Mount{Options: []string{}}, nil
	}
	m := bootconf.ParseMount(cmdline)
	if root.fs.Type() != rootfs.Btrfs {
		return m, nil
	}
	for _, option := range m.Options {
		if name, value, _ := strings.Cut(option, "="); name == "subvol" && strings.Trim(value, "/") != strings.TrimPrefix(root.options, "subvol=") {
			return m, fmt.Errorf("the boot entry mounts the subvolume %.100q, and the operating system is in %.100q", value, root.options)
		}
	}
	m.Options = slices.DeleteFunc(m.Options, func(option string) bool {
		return strings.HasPrefix(option, "subvol=") || strings.HasPrefix(option, "subvolid=")
	})
	if root.options != "" {
		m.Options = append(m.Options, root.options)
	}
	return m, nil
}

// The records of an instance are in front of the payload of every image: the difference
// is not negative, or this does not compile.
const _ = uint(luks2.PayloadOffset - instancedisk.End)

// bootConfig is what the agent is told.
func (c *conversion) bootConfig(sys *system, k *keys, l *layout) *bootconf.Config {
	modules := bootconf.ModulesRequired
	if c.OptionalModules {
		modules = bootconf.ModulesOptional
	}
	return &bootconf.Config{
		Format: bootconf.Format, ImageID: k.image, Simulated: c.Simulate,
		Services: c.Service.URLs, CA: c.Service.CA, IdentityKey: c.Service.IdentityKey, VMKCommitment: k.commitment,
		Root: bootconf.Root{
			PartitionGUID: l.root.GUID.String(), SealedVMKOffset: vmkrecord.Offset, PayloadOffset: luks2.PayloadOffset,
			Cipher: bootconf.Cipher, SectorSize: l.sectorSize,
			Filesystem: string(sys.root.fs.Type()), FilesystemUUID: sys.root.fs.UUID(),
			AllowDiscards: c.AllowDiscards, Grow: true, Mount: sys.mount,
		},
		Network: c.network, Deadline: int(c.Deadline / time.Second), Initrd: c.Initrd, Modules: modules,
		UnsealingKey: k.public, RecoveryRecipients: c.recipientNames, EncryptFreeSpace: c.EncryptFreeSpace,
	}
}
