package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Inspection is what an image is. Sizes are in bytes.
type Inspection struct {
	Path       string          `json:"path"`
	Packed     string          `json:"packed,omitempty"` // layers around the disk image: "xz, tar"
	Format     string          `json:"format"`
	Size       int64           `json:"size"`            // of the disk
	Table      string          `json:"partition_table"` // "GPT" or "MBR"
	SectorSize int             `json:"sector_size"`
	Partitions []PartitionInfo `json:"partitions"`
	OS         *osinfo.OS      `json:"os,omitempty"`
	Initrd     *initrd.Info    `json:"initrd,omitempty"` // of the entry that would be converted
	// InitrdProblem is why a conversion with the distribution's initrd would refuse
	// it; empty where it would not.
	InitrdProblem string `json:"initrd_problem,omitempty"`
	// Kernel and BootEntry are what a conversion would take.
	Kernel    string `json:"kernel,omitempty"`
	BootEntry string `json:"boot_entry,omitempty"`
	// Problems are why it cannot be converted as it is; empty when it can.
	Problems []string `json:"problems"`
}

// PartitionInfo is one partition.
type PartitionInfo struct {
	Number     int    `json:"number"`
	Type       string `json:"type"` // GUID
	GUID       string `json:"guid"`
	Name       string `json:"name"`
	Offset     int64  `json:"offset"`
	Size       int64  `json:"size"`
	Holds      string `json:"holds"` // file system or other content
	Label      string `json:"label,omitempty"`
	UUID       string `json:"uuid,omitempty"`
	Used       int64  `json:"used,omitempty"` // by the file system
	Role       string `json:"role,omitempty"` // "root", "boot" or "ESP"
	Converted  bool   `json:"converted,omitempty"`
	Unreadable string `json:"unreadable,omitempty"` // what is wrong with it
}

// Inspect looks at an image without changing it. What keeps it from being
// converted is told in Problems; an error is an image that cannot be read at all.
// Packages are as in Options.
func Inspect(ctx context.Context, path string, packages []string) (*Inspection, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkReadable(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "snpguard-inspect-")
	if err != nil {
		return nil, err
	}
	found, err := inspect(ctx, path, packages, dir)
	return found, errors.Join(err, os.RemoveAll(dir))
}

// inspect is Inspect with a directory to work in.
func inspect(ctx context.Context, path string, packages []string, dir string) (*Inspection, error) {
	image, err := unpack(ctx, path, filepath.Join(dir, "source"), silent{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := openSource(ctx, image.path)
	if err != nil {
		return nil, err
	}
	defer s.close()
	found := &Inspection{
		Path: path, Packed: image.how, Format: string(s.image.Format), Size: s.disk.Size(), Table: "GPT", SectorSize: s.table.SectorSize, Problems: []string{},
	}
	if s.converted {
		found.Table = "MBR"
	}
	for i := range s.list {
		found.Partitions = append(found.Partitions, describePartition(&s.list[i]))
	}
	if s.root, err = findRoot(s.list); err == nil {
		s.boot, s.esp, err = findBoot(s.list, s.root)
	}
	if err != nil {
		found.problem(err)
		return found, nil
	}
	found.role(s.root, "root")
	found.role(s.boot, "boot")
	found.role(s.esp, "ESP")
	return found, found.scan(ctx, s, packages, dir)
}

func (i *Inspection) problem(err error) { i.Problems = append(i.Problems, err.Error()) }

func (i *Inspection) role(v *Volume, role string) {
	for n := range i.Partitions {
		if v != nil && i.Partitions[n].Number == v.Partition.Number {
			i.Partitions[n].Role = role
		}
	}
}

func describePartition(v *Volume) PartitionInfo {
	p := &v.Partition
	info := PartitionInfo{
		Number: p.Number, Type: p.Type.String(), GUID: p.GUID.String(), Name: p.Name, Offset: v.Offset, Size: v.Size, Holds: string(v.Type),
		Converted: v.Converted,
	}
	if v.Err != nil {
		info.Unreadable = v.Err.Error()
	}
	if v.FS == nil {
		return info
	}
	info.Label, info.UUID = v.FS.Label(), v.FS.UUID()
	for r, err := range v.FS.Used() {
		if err != nil {
			info.Unreadable = err.Error()
			break
		}
		info.Used += r.Length
	}
	return info
}

// scan looks at the operating system. An xfs or btrfs is copied to dir for that.
func (i *Inspection) scan(ctx context.Context, s *source, packages []string, dir string) error {
	in := osinfo.Input{Root: s.root.FS, Harden: harden.Options{CloudInit: CloudInitNone}}
	if s.root.FS == nil {
		w, err := copyOut(ctx, s, s.root, filepath.Join(dir, "root"), silent{})
		if err != nil {
			i.problem(err)
			return nil
		}
		defer w.close() //nolint:errcheck // it was only read
		in.Root = w.fs
	}
	if _, err := s.followMounts(in.Root); err != nil {
		i.problem(err)
	} else if err := checkUsr(in.Root, bootconf.InitrdMinimal); err != nil {
		i.problem(err)
	}
	if s.boot != nil {
		in.Boot = s.boot.FS
	}
	if s.esp != nil {
		in.ESP = s.esp.FS
	}
	opened, err := openPackages(ctx, packages, dir, silent{})
	for _, p := range opened {
		in.Packages = append(in.Packages, p.FS)
	}
	if err != nil {
		return err
	}
	if i.OS, err = osinfo.Scan(in); err != nil {
		i.problem(err)
		return nil
	}
	choice, err := i.OS.Choose(in, "")
	if err != nil {
		i.problem(err)
		return nil
	}
	i.Kernel, i.BootEntry = choice.Kernel.Release, choice.Entry.Title
	i.OS.Findings = append(i.OS.Findings, harden.Kernel(i.Kernel)...)
	if line, err := bootentry.Cmdline(bootconf.InitrdMinimal, choice.Entry.Options, "", nil); err != nil {
		i.problem(err)
	} else {
		i.OS.Findings = append(i.OS.Findings, wordFindings(choice.Entry, line)...)
	}
	i.lookAtInitrd(&system{input: in, choice: choice})
	return nil
}

func (i *Inspection) lookAtInitrd(sys *system) {
	r, closeAll, err := openInitrd(sys)
	if err == nil {
		defer closeAll()
		i.Initrd, err = inspectInitrd(sys, r)
	}
	if err != nil {
		i.InitrdProblem = err.Error()
	}
}
