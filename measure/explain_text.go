package measure

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes e for people to read, ending with the digest.
func (e *Explanation) WriteText(w io.Writer) error {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "VMM\t%s\n", e.VMM)
	writeImage(tw, "Firmware", e.Firmware)
	if e.SVSM != nil {
		writeImage(tw, "SVSM", *e.SVSM)
	}
	if k := e.KernelHashes; k != nil {
		fmt.Fprintf(tw, "Hashes table\tat %s\n", k.GPA)
		fmt.Fprintf(tw, "  kernel\tSHA-256 %s\n  initrd\tSHA-256 %s\n  cmdline\tSHA-256 %s\n", k.Kernel, k.Initrd, k.Cmdline)
		if k.CommandLine != "" {
			fmt.Fprintf(tw, "  \t%q\n", k.CommandLine)
		}
	} else {
		fmt.Fprintf(tw, "Hashes table\tnone: no kernel given\n")
	}
	fmt.Fprintf(tw, "Guest features\t%s\n", e.GuestFeatures)
	fmt.Fprintf(tw, "vCPUs\t%d x %s\n", e.VCPUs, e.describeType())
	writeVMSA(tw, "VMSA of vCPU 0", e.BootVMSA)
	if e.APVMSA != nil {
		writeVMSA(tw, "VMSA of the others", *e.APVMSA)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&b, "\nLaunch digest after each step:\n")
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "  %-18s %-10s %14s %10d bytes\n    %s\n", s.Name, s.PageType, s.GPA, s.Size, s.Digest)
	}
	fmt.Fprintf(&b, "\nMeasurement %s\n", e.Measurement)
	_, err := w.Write(b.Bytes())
	return err
}

func (e *Explanation) describeType() string {
	if !e.VMM.UsesSignature() {
		return "any type"
	}
	return fmt.Sprintf("%s (signature %s)", e.VCPUType, e.VCPUSignature)
}

func writeImage(w io.Writer, name string, i ExplainedImage) {
	fmt.Fprintf(w, "%s\t%d bytes at %s, SHA-384 %s\n", name, i.Size, i.GPA, i.SHA384)
}

func writeVMSA(w io.Writer, name string, v VMSA) {
	fmt.Fprintf(w, "%s\tRIP %s, RDX %s, CR0 %s, CR4 %s, EFER %s, RFLAGS %s, DR6 %s, DR7 %s,\n",
		name, v.RIP, v.RDX, v.CR0, v.CR4, v.EFER, v.RFLAGS, v.DR6, v.DR7)
	fmt.Fprintf(w, "\tG_PAT %s, XCR0 %s, MXCSR %s, X87_FCW %s, SEV_FEATURES %s\n",
		v.GPAT, v.XCR0, v.MXCSR, v.X87FCW, v.SEVFeatures)
	for _, s := range v.segments() {
		fmt.Fprintf(w, "  %s\tselector %s, attrib %s, limit %s, base %s\n", s.name, s.Selector, s.Attrib, s.Limit, s.Base)
	}
}
