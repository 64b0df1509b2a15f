package osinfo

import (
	"fmt"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/versions"
)

// Choice is an entry and the kernel that it boots.
type Choice struct {
	Entry  bootentry.Entry
	Kernel Kernel
}

// Choose returns what is to be converted: the default entry when its kernel can
// be an SNP guest, otherwise the first entry of the newest kernel that can. With
// a release it is the first entry of that kernel. The error wraps ErrNoKernel and
// names the kernels that were seen, what they lack and the package to fetch.
func (o *OS) Choose(in Input, release string) (*Choice, error) {
	var best *Choice
	for _, e := range o.Entries {
		k := o.kernelOf(in, e)
		if k == nil || !k.Capable() || release != "" && k.Release != release {
			continue
		}
		c := &Choice{e, *k}
		if e.Default {
			return c, nil
		}
		if best == nil || versions.Compare(k.Release, best.Kernel.Release) > 0 {
			best = c
		}
	}
	if best == nil {
		return nil, o.noKernel(release)
	}
	return best, nil
}

func (o *OS) kernelOf(in Input, e bootentry.Entry) *Kernel {
	_, file, err := in.Locate(&e, e.Kernel)
	if err != nil {
		return nil
	}
	for i := range o.Kernels {
		if o.Kernels[i].File == file {
			return &o.Kernels[i]
		}
	}
	return nil
}

// noKernel says what was seen.
func (o *OS) noKernel(release string) error {
	var seen []string
	for _, k := range o.Kernels {
		text := k.Release
		if text == "" {
			text = fileName(k.File.Path)
		}
		if len(k.Lacks) > 0 {
			text += ": " + strings.Join(k.Lacks, ", ")
		}
		if k.Package != "" {
			text += "; give the package " + k.Package + " with --module-package"
		}
		seen = append(seen, text)
	}
	if len(seen) == 0 {
		for _, e := range o.Entries {
			seen = append(seen, fileName(e.Kernel)+": the file is not there")
		}
	}
	if len(seen) == 0 {
		seen = []string{"nothing that boots Linux"}
	}
	what := ""
	if release != "" {
		what = fmt.Sprintf(" of release %.64q", release)
	}
	return fmt.Errorf("%w%s; seen: %s", ErrNoKernel, what, strings.Join(seen, " | "))
}

// fileName is what people call a kernel: a section by the image that it is of.
func fileName(file string) string {
	if path.Base(file) == uki.Linux {
		file = path.Dir(file)
	}
	return printable(path.Base(file))
}

// Candidates returns the entries whose kernel is in the image, in the order of
// the menu, also those that cannot be chosen.
func (o *OS) Candidates(in Input) []Choice {
	var all []Choice
	for _, e := range o.Entries {
		if k := o.kernelOf(in, e); k != nil {
			all = append(all, Choice{e, *k})
		}
	}
	return all
}
