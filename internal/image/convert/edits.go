package convert

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// editRoot makes the changes of the root file system: the files of a separate
// /boot, modules of packages, and what harden says.
func (c *conversion) editRoot(ctx context.Context, sys *system) error {
	c.Events.Step("Change the root file system")
	changes, err := c.changes(sys)
	if err != nil {
		return err
	}
	for _, change := range changes {
		c.record.Edits = append(c.record.Edits, "/"+change.Path)
	}
	if err := sys.root.change(ctx, changes); err != nil {
		return fmt.Errorf("change root file system: %w", err)
	}
	sys.input.Root = sys.root.fs
	return nil
}

func (c *conversion) changes(sys *system) ([]rootfs.Change, error) {
	var changes []rootfs.Change
	if sys.bootFS != nil {
		moved, err := rootfs.CopyTree(sys.bootFS, ".", "boot")
		if err != nil {
			return nil, fmt.Errorf("move /boot into the root: %w", err)
		}
		changes = append(changes, moved...)
	}
	for _, p := range sys.packages {
		added, err := moduleFiles(p.FS)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		changes = append(changes, added...)
	}
	edits, err := harden.Edits(sys.input.Root, harden.Options{
		CloudInit: c.CloudInit, Agent: true, MachineID: c.Initrd == bootconf.InitrdMinimal, Updates: c.Initrd == bootconf.InitrdMinimal,
	})
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		change := rootfs.Change{Kind: rootfs.WriteFile, Path: e.Path, Mode: e.Mode, Content: e.Content}
		switch {
		case e.Remove:
			change = rootfs.Change{Kind: rootfs.Remove, Path: e.Path}
		case e.Target != "":
			change = rootfs.Change{Kind: rootfs.Symlink, Path: e.Path, Target: e.Target}
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// maxModuleFile bounds a module file as a package has it, in bytes.
const maxModuleFile = 64 << 20

// moduleFiles returns the changes that put the modules of a package where the
// image's kernel finds them.
func moduleFiles(from fs.FS) (changes []rootfs.Change, err error) {
	err = fs.WalkDir(from, kmod.Dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxModuleFile {
			return fmt.Errorf("%s has more than %s", name, size.Text(maxModuleFile))
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		changes = append(changes, rootfs.Change{Kind: rootfs.WriteFile, Path: path.Clean(name), Mode: 0o644, Content: content})
		return nil
	})
	return changes, err
}
