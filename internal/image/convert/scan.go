package convert

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// system is the operating system of the source, in copies of its file systems,
// and what of it is going to boot.
type system struct {
	root     *workingCopy
	ahead    *ahead        // nil without encryption
	boot     *workingCopy  // of a separate /boot that has a journal, or nil
	bootFS   rootfs.Volume // of a separate /boot, or nil
	packages []*modulePackage
	input    osinfo.Input
	choice   *osinfo.Choice
	cmdline  string
	mount    bootconf.Mount // of the root
}

func (s *system) close() {
	if s.ahead != nil {
		s.ahead.close()
	}
	for _, w := range []*workingCopy{s.root, s.boot} {
		if w != nil {
			w.close() //nolint:errcheck // it lies in the workspace, which is removed
		}
	}
}

// openSystem copies the root, and begins to encrypt it.
func (c *conversion) openSystem(ctx context.Context, s *source) (*system, error) {
	sys := &system{}
	var err error
	if sys.root, err = copyOut(ctx, s, s.root, c.work.path("root"), c.Events); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Input, err)
	}
	if c.NoEncryption {
		return sys, nil
	}
	if sys.ahead, err = c.begin(ctx, s, sys.root); err != nil {
		sys.close()
		return nil, err
	}
	return sys, nil
}

// scan copies a separate /boot, looks at the operating system and chooses what to
// boot.
func (c *conversion) scan(ctx context.Context, s *source, sys *system) error {
	var err error
	sys.input = osinfo.Input{Root: sys.root.fs, Harden: harden.Options{CloudInit: c.CloudInit}}
	if err := c.followMounts(s, sys.root.fs); err != nil {
		return err
	}
	if err := checkUsr(sys.root.fs, c.Initrd); err != nil {
		return err
	}
	if s.boot != nil {
		if err := c.openBoot(ctx, s, sys); err != nil {
			return err
		}
		sys.input.Boot = sys.bootFS
	}
	if s.esp != nil {
		sys.input.ESP = s.esp.FS
	}
	if sys.packages, err = openPackages(ctx, c.ModulePackages, c.work.dir, c.Events); err != nil {
		return err
	}
	c.record.Packages = map[string]string{}
	for _, p := range sys.packages {
		c.record.Packages[p.name] = p.sum
		sys.input.Packages = append(sys.input.Packages, p.FS)
	}
	c.Events.Step("Choose what to boot")
	found, err := osinfo.Scan(sys.input)
	if err != nil {
		return err
	}
	if sys.choice, err = c.choose(found, sys.input); err != nil {
		return err
	}
	words, err := c.commandLine(sys)
	if err != nil {
		return err
	}
	c.record.OS = found.Name
	c.record.Kernel, c.record.BootEntry, c.record.Cmdline = sys.choice.Kernel.Release, sys.choice.Entry.Title, sys.cmdline
	c.record.Findings = findings(slices.Concat(found.Findings, words, harden.Kernel(sys.choice.Kernel.Release)))
	c.Events.Note(fmt.Sprintf("%s, kernel %s", found.Name, sys.choice.Kernel.Release))
	c.noteFindings()
	return nil
}

// openBoot opens a separate /boot: a copy, whose journal is replayed, but FAT as it
// is.
func (c *conversion) openBoot(ctx context.Context, s *source, sys *system) (err error) {
	if s.boot.Type == rootfs.FAT {
		sys.bootFS = s.boot.FS
		return nil
	}
	if sys.boot, err = copyOut(ctx, s, s.boot, c.work.path("boot"), c.Events); err != nil {
		return err
	}
	sys.bootFS = sys.boot.fs
	return nil
}

// followMounts does as the source's fstab says. Without encryption every
// partition stays where it is.
func (c *conversion) followMounts(s *source, root fs.FS) error {
	notes, err := s.followMounts(root)
	if c.NoEncryption {
		return nil
	}
	for _, note := range notes {
		c.Events.Note(note)
	}
	return err
}

// choose takes the boot entry that was asked for, or asks.
func (c *conversion) choose(found *osinfo.OS, in osinfo.Input) (*osinfo.Choice, error) {
	if c.Choose == nil {
		choice, err := found.Choose(in, c.Kernel)
		if err != nil && c.Kernel != "" {
			return nil, option.Wrap("kernel", err)
		}
		return choice, err
	}
	entries := found.Candidates(in)
	if len(entries) == 0 {
		return found.Choose(in, "") // says what is missing
	}
	var choices []Choice
	for _, e := range entries {
		choices = append(choices, Choice{
			Title: e.Entry.Title, Kernel: e.Kernel.Release, Default: e.Entry.Default, Reason: strings.Join(e.Kernel.Lacks, ", "),
		})
	}
	n, err := c.Choose(choices)
	if err != nil {
		return nil, err
	}
	if choices[n].Reason != "" {
		return nil, fmt.Errorf("%w: %s: %s", osinfo.ErrNoKernel, choices[n].Kernel, choices[n].Reason)
	}
	return &entries[n], nil
}

func findings(found []harden.Finding) []staging.Finding {
	list := []staging.Finding{}
	for _, f := range found {
		list = append(list, staging.Finding{Code: f.Code, Severity: string(f.Severity), Path: f.Path, Detail: f.Detail, Mended: f.Mended})
	}
	return list
}

// noteFindings tells what the conversion does not mend.
func (c *conversion) noteFindings() {
	for _, f := range c.record.Findings {
		if !f.Mended && f.Severity != string(harden.Note) {
			c.Events.Note(fmt.Sprintf("%s (%s): %s", f.Severity, f.Code, f.Text()))
		}
	}
}
