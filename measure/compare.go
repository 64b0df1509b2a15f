package measure

import "fmt"

// Difference is a place where two explanations part.
type Difference struct {
	Field   string `json:"field"`   // its name in Explanation's JSON form
	Meaning string `json:"meaning"` // a sentence such as "initrd differs"
	A       string `json:"a"`
	B       string `json:"b"`
}

// Compare returns the differences between two explanations, in the order in which a
// launch is measured, none when they describe the same launch. It names causes: what
// follows from other inputs, such as a layout or a digest, is named only when those
// are the same.
func Compare(a, b *Explanation) []Difference {
	var all []Difference
	add := func(differences ...*Difference) {
		for _, d := range differences {
			if d != nil {
				all = append(all, *d)
			}
		}
	}
	add(compareVMM(a, b))
	add(compareImages(a, b)...)
	hasKernel := a.KernelHashes != nil && b.KernelHashes != nil
	sameLayout := len(all) == 0 && (hasKernel || a.KernelHashes == b.KernelHashes)
	add(compareKernel(a, b)...)
	if sameLayout {
		add(compareSections(a, b))
	}
	add(compareVCPUs(a, b)...)
	if len(all) == 0 {
		add(compareSteps(a, b))
	}
	return all
}

// differ compares two values by what they print.
func differ(field, meaning string, a, b any) *Difference {
	if left, right := fmt.Sprint(a), fmt.Sprint(b); left != right {
		return &Difference{Field: field, Meaning: meaning, A: left, B: right}
	}
	return nil
}

// first returns the first of the differences that is one.
func first(differences ...*Difference) *Difference {
	for _, d := range differences {
		if d != nil {
			return d
		}
	}
	return nil
}

func compareVMM(a, b *Explanation) *Difference {
	return differ("vmm", "virtual machine monitor differs", a.VMM, b.VMM)
}

func compareImages(a, b *Explanation) []*Difference {
	firmware := compareImage("firmware", a.Firmware, b.Firmware)
	if a.SVSM == nil || b.SVSM == nil {
		return []*Difference{firmware, differ("svsm", "only one starts with an SVSM", presence(a.SVSM != nil), presence(b.SVSM != nil))}
	}
	svsm := compareImage("svsm", *a.SVSM, *b.SVSM)
	if firmware == nil && svsm == nil { // their sizes move the SVSM as well
		svsm = differ("svsm.gpa", "size of the UEFI variables differs, so the SVSM lies elsewhere", a.SVSM.GPA, b.SVSM.GPA)
	}
	return []*Difference{firmware, svsm}
}

func compareImage(name string, a, b ExplainedImage) *Difference {
	return first(
		differ(name+".size", name+" differs in size", a.Size, b.Size),
		differ(name+".sha384", name+" differs", a.SHA384, b.SHA384),
	)
}

func compareKernel(a, b *Explanation) []*Difference {
	if a.KernelHashes == nil || b.KernelHashes == nil {
		return []*Difference{differ("kernel_hashes", "only one is a direct boot with a measured kernel",
			presence(a.KernelHashes != nil), presence(b.KernelHashes != nil))}
	}
	return []*Difference{
		differ("kernel_hashes.kernel", "kernel differs", a.KernelHashes.Kernel, b.KernelHashes.Kernel),
		differ("kernel_hashes.initrd", "initrd differs", a.KernelHashes.Initrd, b.KernelHashes.Initrd),
		compareCommandLine(a.KernelHashes, b.KernelHashes),
	}
}

func compareCommandLine(a, b *ExplainedTable) *Difference {
	const field, meaning = "kernel_hashes.cmdline", "kernel command line differs"
	d := differ(field, meaning, a.Cmdline, b.Cmdline)
	if d == nil || a.CommandLine == b.CommandLine {
		return d
	}
	at := 0
	for at < min(len(a.CommandLine), len(b.CommandLine)) && a.CommandLine[at] == b.CommandLine[at] {
		at++
	}
	d.Meaning = fmt.Sprintf("%s from byte %d on", meaning, at)
	d.A, d.B = fmt.Sprintf("%q", a.CommandLine), fmt.Sprintf("%q", b.CommandLine)
	return d
}

// compareSections compares what was loaded apart from its contents.
func compareSections(a, b *Explanation) *Difference {
	for i := range min(len(a.Steps), len(b.Steps)) {
		s, t := a.Steps[i], b.Steps[i]
		if s.PageType == vmsaPageType || t.PageType == vmsaPageType {
			break
		}
		if d := differ(fmt.Sprintf("steps[%d]", i), "layout of the launched pages differs", s.place(), t.place()); d != nil {
			return d
		}
	}
	return nil
}

// place describes a step without its digest.
func (s Step) place() string {
	return fmt.Sprintf("%s at %s, %d bytes, %s", s.Name, s.GPA, s.Size, s.PageType)
}

func compareVCPUs(a, b *Explanation) []*Difference {
	features, kind := differ("guest_features", "guest features (SEV_FEATURES) differ", a.GuestFeatures, b.GuestFeatures), compareVCPUType(a, b)
	var boot *Difference // which the others make
	if features == nil && kind == nil && a.VMM == b.VMM && (a.SVSM == nil) == (b.SVSM == nil) {
		boot = differ("boot_vmsa", "first state of vCPU 0 differs", a.BootVMSA, b.BootVMSA)
	}
	return []*Difference{features, kind, boot, differ("vcpus", "vCPU count differs", a.VCPUs, b.VCPUs)}
}

// compareVCPUType ignores names of the same signature, and types that the VMM
// ignores.
func compareVCPUType(a, b *Explanation) *Difference {
	if a.VCPUSignature == b.VCPUSignature || !a.VMM.UsesSignature() {
		return nil
	}
	describe := func(e *Explanation) string { return fmt.Sprintf("%s (signature %s)", e.VCPUType, e.VCPUSignature) }
	return differ("vcpu_type", "vCPU type differs", describe(a), describe(b))
}

// compareSteps finds digests that differ although no input does.
func compareSteps(a, b *Explanation) *Difference {
	for i := range min(len(a.Steps), len(b.Steps)) {
		meaning := fmt.Sprintf("digest after %q differs, though nothing before it does: "+
			"one was made by another version, or edited", a.Steps[i].Name)
		if d := differ(fmt.Sprintf("steps[%d].digest", i), meaning, a.Steps[i].Digest, b.Steps[i].Digest); d != nil {
			return d
		}
	}
	return first(
		differ("steps", "number of steps differs", len(a.Steps), len(b.Steps)),
		differ("measurement", "measurement differs, though no step does: one was edited", a.Measurement, b.Measurement),
	)
}

func presence(present bool) string {
	if present {
		return "present"
	}
	return "absent"
}
