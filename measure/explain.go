package measure

import (
	"crypto/sha512"
	"fmt"
	"strconv"
)

// ExplanationFormat is the version of Explanation's JSON form.
const ExplanationFormat = 1

// Explanation is everything that went into one launch digest. Its JSON form is
// meant to be saved and compared.
type Explanation struct {
	Format        int             `json:"format"`
	VMM           VMM             `json:"vmm"`
	Firmware      ExplainedImage  `json:"firmware"`
	SVSM          *ExplainedImage `json:"svsm,omitempty"`
	KernelHashes  *ExplainedTable `json:"kernel_hashes,omitempty"` // absent without a kernel
	GuestFeatures Hex             `json:"guest_features"`          // SEV_FEATURES as the vCPUs have it
	VCPUs         int             `json:"vcpus"`
	VCPUType      string          `json:"vcpu_type"`
	VCPUSignature Hex             `json:"vcpu_signature"`
	BootVMSA      VMSA            `json:"boot_vmsa"`         // of vCPU 0
	APVMSA        *VMSA           `json:"ap_vmsa,omitempty"` // of every other vCPU
	Steps         []Step          `json:"steps"`
	Measurement   Digest          `json:"measurement"`
}

// ExplainedImage is a firmware or SVSM image as it was loaded.
type ExplainedImage struct {
	GPA    Hex    `json:"gpa"`
	Size   int    `json:"size"`   // in bytes
	SHA384 Digest `json:"sha384"` // of the file
}

// ExplainedTable is the SEV hashes table and where it was put.
type ExplainedTable struct {
	GPA Hex `json:"gpa"`
	KernelHashes
	// CommandLine is the text that Cmdline is the hash of, when the caller of
	// Explain has filled it in.
	CommandLine string `json:"command_line,omitempty"`
}

// Step is one thing that was loaded and the digest after it.
type Step struct {
	Name     string `json:"name"`
	PageType string `json:"page_type"` // as in 56860, SNP_LAUNCH_UPDATE, without PAGE_TYPE_
	GPA      Hex    `json:"gpa"`
	Size     uint64 `json:"size"` // in bytes
	Digest   Digest `json:"digest"`
}

// Hex is a number that JSON shows in hexadecimal, as a string.
type Hex uint64

// String returns h with a 0x prefix.
func (h Hex) String() string { return "0x" + strconv.FormatUint(uint64(h), 16) }

// MarshalText returns what String does.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a number with a 0x prefix.
func (h *Hex) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 0, 64)
	*h = Hex(n)
	return err
}

// Explain computes the digest of l with these vCPUs and tells how it came
// about. The error wraps ErrVCPUs.
func Explain(l *Launch, v VCPUs) (*Explanation, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	firmware := l.config.Firmware
	e := &Explanation{
		Format:   ExplanationFormat,
		VMM:      l.config.VMM,
		Firmware: explainImage(firmware, l.steps[0]),
		VCPUs:    v.Count, VCPUType: v.Type.Name, VCPUSignature: Hex(v.Type.Signature),
		BootVMSA: l.bsp(v.Type.Signature),
		Steps:    append([]Step{}, l.steps...),
	}
	e.GuestFeatures = e.BootVMSA.SEVFeatures
	if svsm := l.config.SVSM; svsm != nil {
		image := explainImage(svsm, l.steps[1])
		e.SVSM = &image
	}
	if k := l.config.Kernel; k != nil {
		e.KernelHashes = &ExplainedTable{GPA: Hex(l.hashesGPA), KernelHashes: *k}
	}
	e.explainVCPUs(l, v)
	return e, nil
}

func explainImage(f *Firmware, s Step) ExplainedImage {
	return ExplainedImage{GPA: s.GPA, Size: f.Size(), SHA384: sha512.Sum384(f.data)}
}

func (e *Explanation) explainVCPUs(l *Launch, v VCPUs) {
	boot, all := l.addVCPUs(v)
	e.Measurement = all
	step := Step{Name: "vCPU 0", PageType: pageTypeName(pageVMSA), GPA: vmsaGPA, Size: PageSize, Digest: boot}
	e.Steps = append(e.Steps, step)
	if v.Count == 1 {
		return
	}
	ap := l.ap(v.Type.Signature)
	e.APVMSA = &ap
	step.Name, step.Digest = "vCPU 1", all
	if v.Count > 2 {
		step.Name = fmt.Sprintf("vCPUs 1 to %d", v.Count-1)
	}
	step.Size *= uint64(v.Count - 1)
	e.Steps = append(e.Steps, step)
}

// sum hashes a VMSA page.
func sum(v VMSA) Digest {
	page := v.Page()
	return sha512.Sum384(page[:])
}

// vmsaPageType is PageType of the steps that add vCPUs.
const vmsaPageType = "VMSA"

// pageTypeName returns the name of a page type without PAGE_TYPE_ (56860 rev.
// 1.58, section 8.17).
func pageTypeName(t byte) string {
	switch t {
	case pageNormal:
		return "NORMAL"
	case pageVMSA:
		return vmsaPageType
	case pageZero:
		return "ZERO"
	case pageUnmeasured:
		return "UNMEASURED"
	case pageSecrets:
		return "SECRETS"
	case pageCPUID:
		return "CPUID"
	}
	return fmt.Sprintf("%#x", t)
}
