package measure

import "fmt"

// Difference is the first place where two explanations part.
type Difference struct {
	Field   string `json:"field"`   // its name in Explanation's JSON form
	Meaning string `json:"meaning"` // a sentence such as "initrd differs"
	A       string `json:"a"`
	B       string `json:"b"`
}

// Compare returns the first difference between two explanations, in the order
// in which a launch is measured, or nil when they describe the same launch. It
// looks for causes first: a digest is named only when no input differs.
func Compare(a, b *Explanation) *Difference {
	for _, compare := range []func(a, b *Explanation) *Difference{
		compareVMM, compareImages, compareKernel, compareSections, compareVCPUs, compareSteps,
	} {
		if d := compare(a, b); d != nil {
			return d
		}
	}
	return nil
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

func compareImages(a, b *Explanation) *Difference {
	if d := compareImage("firmware", a.Firmware, b.Firmware); d != nil {
		return d
	}
	if a.SVSM == nil || b.SVSM == nil {
		return differ("svsm", "only one starts with an SVSM", presence(a.SVSM != nil), presence(b.SVSM != nil))
	}
	return first(
		compareImage("svsm", *a.SVSM, *b.SVSM),
		differ("svsm.gpa", "size of the UEFI variables differs, so the SVSM lies elsewhere", a.SVSM.GPA, b.SVSM.GPA),
	)
}

func compareImage(name string, a, b ExplainedImage) *Difference {
	return first(
		differ(name+".size", name+" differs in size", a.Size, b.Size),
		differ(name+".sha384", name+" differs", a.SHA384, b.SHA384),
	)
}

func compareKernel(a, b *Explanation) *Difference {
	if a.KernelHashes == nil || b.KernelHashes == nil {
		return differ("kernel_hashes", "only one is a direct boot with a measured kernel",
			presence(a.KernelHashes != nil), presence(b.KernelHashes != nil))
	}
	return first(
		differ("kernel_hashes.kernel", "kernel differs", a.KernelHashes.Kernel, b.KernelHashes.Kernel),
		differ("kernel_hashes.initrd", "initrd differs", a.KernelHashes.Initrd, b.KernelHashes.Initrd),
		compareCommandLine(a.KernelHashes, b.KernelHashes),
	)
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

func compareVCPUs(a, b *Explanation) *Difference {
	return first(
		differ("guest_features", "guest features (SEV_FEATURES) differ", a.GuestFeatures, b.GuestFeatures),
		compareVCPUType(a, b),
		differ("boot_vmsa", "first state of vCPU 0 differs", a.BootVMSA, b.BootVMSA),
		differ("vcpus", "vCPU count differs", a.VCPUs, b.VCPUs),
	)
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
