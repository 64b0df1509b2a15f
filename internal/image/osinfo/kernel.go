package osinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
)

// Kernel is a kernel that an entry boots.
type Kernel struct {
	Release  string    `json:"release"` // as uname -r prints it
	File     File      `json:"file"`
	Features []Feature `json:"features"`
	// Lacks is why it cannot be an SNP guest with the agent; empty when it can.
	Lacks []string `json:"lacks,omitempty"`
	// Package would bring the modules that are lacking, "name (version)"; "" when
	// no known one would.
	Package string `json:"package,omitempty"`
	// Compression is how the initrd's segment can be written for this kernel.
	Compression decompress.Format `json:"compression"`

	config    config
	unindexed bool // its modules are there, and modules.dep is not
}

// File is where a kernel or initrd lies.
type File struct {
	Boot bool   `json:"boot"`          // in the file system of a separate /boot, not in the root
	ESP  bool   `json:"esp,omitempty"` // in the EFI system partition
	Path string `json:"path"`          // in that file system, without a leading slash; a section of a unified kernel image is below that
}

// Feature is what a kernel has of something that the agent can use.
type Feature struct {
	Name     string `json:"name"`  // option of the kernel's configuration, or module
	State    string `json:"state"` // "y", "m", "n" or "unknown"; "built in", "module" or "absent"
	Required bool   `json:"required"`
}

// Capable says whether the kernel can be an SNP guest with the agent.
func (k *Kernel) Capable() bool { return len(k.Lacks) == 0 }

// Unpacks says whether the kernel reads an initrd that is compressed so. One whose
// configuration is not known is taken to.
func (k *Kernel) Unpacks(how decompress.Format) bool {
	return how == decompress.None || k.config.state("CONFIG_RD_"+strings.ToUpper(string(how))) != "n"
}

// Locate finds a path that an entry names: on the EFI system partition, where the
// entry is of that; else in a separate /boot, in the root, or there as well. What is
// a section of a unified kernel image is read out of that. The error wraps
// fs.ErrNotExist.
func (in Input) Locate(e *bootentry.Entry, name string) (fs.FS, File, error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	places := []File{{Boot: true, Path: name}, {Path: name}, {Path: path.Join("boot", name)}, {ESP: true, Path: name}}
	if e.ESP && in.ESP != nil {
		places = places[3:]
	}
	for _, file := range places {
		fsys := in.Root
		switch {
		case file.Boot:
			fsys = in.Boot
		case file.ESP:
			fsys = in.ESP
		}
		if fsys == nil {
			continue
		}
		fsys = uki.FS(fsys)
		if info, err := fs.Stat(fsys, file.Path); err == nil && info.Mode().IsRegular() {
			return fsys, file, nil
		}
	}
	return nil, File{}, fmt.Errorf("find /%s: %w", name, fs.ErrNotExist)
}

// kernels looks at each kernel once. One whose file is not there is left out.
func kernels(in Input, entries []bootentry.Entry, id string) (all []Kernel, err error) {
	for i := range entries {
		e := &entries[i]
		fsys, file, err := in.Locate(e, e.Kernel)
		if err != nil || slices.ContainsFunc(all, func(k Kernel) bool { return k.File == file }) {
			continue
		}
		if len(all) == maxKernel {
			return nil, fmt.Errorf("%w: more than %d kernels", ErrMalformed, maxKernel)
		}
		k := Kernel{File: file}
		open := func(release string) (*kmod.Tree, error) { return kmod.Open(in.Root, release, in.Packages...) }
		if err := k.look(in.Root, fsys, open); errors.Is(err, ErrMalformed) || errors.Is(err, kmod.ErrMalformed) {
			k.Lacks = append(k.Lacks, printable("it cannot be read: "+err.Error())) // a memory test, say
		} else if err != nil {
			return nil, err
		}
		if k.Package, err = missingPackage(in.Root, id, &k); err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

// look fills in what the kernel can do, from the kernel itself, which is in boot, its
// configuration and its modules, which open opens.
func (k *Kernel) look(root, boot fs.FS, open func(release string) (*kmod.Tree, error)) (err error) {
	if k.Release, err = kernelRelease(boot, k.File.Path); err != nil {
		return err
	}
	config, err := readConfig(root, boot, path.Dir(k.File.Path), k.Release)
	if err != nil {
		return err
	}
	k.Features = append(k.Features, Feature{"CONFIG_AMD_MEM_ENCRYPT", config.state("CONFIG_AMD_MEM_ENCRYPT"), true})
	if config.state("CONFIG_AMD_MEM_ENCRYPT") == "n" {
		k.Lacks = append(k.Lacks, "CONFIG_AMD_MEM_ENCRYPT is not set")
	}
	for _, option := range []string{"CONFIG_SEV_GUEST", "CONFIG_TSM_REPORTS", "CONFIG_DM_CRYPT", "CONFIG_CRYPTO_XTS", "CONFIG_CRYPTO_AES_NI_INTEL"} {
		k.Features = append(k.Features, Feature{option, config.state(option), false})
	}
	k.Compression, k.config = config.compression(), config
	tree, err := open(k.Release)
	if errors.Is(err, kmod.ErrNoIndex) {
		k.Lacks, k.unindexed = append(k.Lacks, printable(err.Error())), true
		return nil
	}
	if errors.Is(err, kmod.ErrNoTree) {
		k.Lacks = append(k.Lacks, "it has no modules in "+kmod.Dir+"/"+k.Release)
		return nil
	}
	if err != nil {
		return err
	}
	k.lookAtModules(tree)
	return nil
}

// OfPackages looks at a kernel in the files of its packages, as linuxpkg.Set has them.
// The error wraps ErrMalformed or kmod.ErrMalformed for what cannot be read.
func OfPackages(packages fs.FS, file string) (*Kernel, error) {
	k := &Kernel{File: File{Path: file}}
	err := k.look(packages, packages, func(release string) (*kmod.Tree, error) { return kmod.OpenPackaged(packages, release) })
	return k, err
}

func (k *Kernel) lookAtModules(tree *kmod.Tree) {
	for _, w := range kmod.ForAgent() {
		k.Features = append(k.Features, Feature{w.Name, tree.State(w.Name).String(), w.Required})
	}
	if missing := tree.Missing(kmod.ForAgent()); missing != nil {
		for _, name := range missing.Names {
			k.Lacks = append(k.Lacks, name+" is neither built in nor a module")
		}
	}
}

// config is a kernel's configuration; nil when it is not known.
type config map[string]string

// readConfig looks where distributions put it: beside the kernel or with the
// modules.
func readConfig(root, boot fs.FS, dir, release string) (config, error) {
	for _, place := range []struct {
		fsys fs.FS
		name string
	}{
		{boot, path.Join(dir, "config-"+release)},
		{root, path.Join("boot", "config-"+release)},
		{root, path.Join(kmod.Dir, release, "config")},
	} {
		content, err := readFile(place.fsys, place.name, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c := make(config)
		for line := range strings.Lines(string(content)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(name, "CONFIG_") {
				c[name] = value
			}
		}
		return c, nil
	}
	return nil, nil
}

// state returns "y", "m" or "n", or "unknown" without a configuration.
func (c config) state(option string) string {
	switch value := c[option]; {
	case c == nil:
		return "unknown"
	case value == "y" || value == "m":
		return value
	}
	return "n"
}

// compression returns the best that the kernel reads; all read a plain initrd.
func (c config) compression() decompress.Format {
	for _, how := range initrd.Compressions() {
		if c.state("CONFIG_RD_"+strings.ToUpper(string(how))) == "y" {
			return how
		}
	}
	return decompress.None
}
