package measure

import (
	"fmt"
	"slices"
	"strings"
)

// MaxVCPUs is the largest count that is measured: KVM's KVM_MAX_VCPUS.
const MaxVCPUs = 4096

// VCPUType is a kind of vCPU, as far as a launch digest sees it.
type VCPUType struct {
	// Name is QEMU's name of the model, or the signature in hexadecimal.
	Name string
	// Signature is CPUID Fn0000_0001_EAX: stepping, model and family.
	Signature uint32
}

// VCPUs is what Launch.Digest needs to know about a guest's vCPUs.
type VCPUs struct {
	Count int      // from 1 to MaxVCPUs
	Type  VCPUType // ignored by VMMs that start every type alike
}

// String returns a short name such as "4xEPYC-Genoa", or "4x" where the type
// does not count.
func (v VCPUs) String() string { return fmt.Sprintf("%dx%s", v.Count, v.Type.Name) }

// model is one EPYC model of QEMU (target/i386/cpu.c, builtin_x86_defs, as of
// QEMU 11.1). It is known as Name, Name-v1 to Name-vVersions, and its aliases;
// no version changes the signature.
type model struct {
	name                    string
	versions                int
	aliases                 []string
	family, model, stepping uint
}

var models = []model{
	{name: "EPYC", versions: 5, aliases: []string{"EPYC-IBPB"}, family: 23, model: 1, stepping: 2},
	{name: "EPYC-Rome", versions: 5, family: 23, model: 49, stepping: 0},
	{name: "EPYC-Milan", versions: 4, family: 25, model: 1, stepping: 1},
	{name: "EPYC-Genoa", versions: 3, family: 25, model: 17, stepping: 0},
	{name: "EPYC-Turin", versions: 2, family: 26, model: 0, stepping: 0},
}

// VCPUTypes returns every model that has a name, in QEMU's spelling, from
// Naples to Turin.
func VCPUTypes() []VCPUType {
	var types []VCPUType
	for _, m := range models {
		signature, err := Signature(m.family, m.model, m.stepping)
		if err != nil {
			panic(err) // the table is wrong
		}
		names := []string{m.name}
		for v := 1; v <= m.versions; v++ {
			names = append(names, fmt.Sprintf("%s-v%d", m.name, v))
		}
		for _, name := range append(names, m.aliases...) {
			types = append(types, VCPUType{Name: name, Signature: signature})
		}
	}
	return types
}

// ParseVCPUType finds a model by QEMU's name for it. The error, which wraps
// ErrVCPUs, names the nearest models.
func ParseVCPUType(name string) (VCPUType, error) {
	types := VCPUTypes()
	for _, t := range types {
		if t.Name == name {
			return t, nil
		}
	}
	return VCPUType{}, fmt.Errorf("%w: unknown vCPU type %q, did you mean %s?",
		ErrVCPUs, name, strings.Join(nearest(name, types, 3), ", "))
}

// VCPUTypeFromSignature makes an unnamed type of a raw signature.
func VCPUTypeFromSignature(signature uint32) VCPUType {
	return VCPUType{Name: fmt.Sprintf("%#08x", signature), Signature: signature}
}

// Signature computes CPUID Fn0000_0001_EAX from family (up to 270), model (up
// to 255) and stepping (up to 15) as QEMU does (AMD publication 25481, CPUID
// Fn0000_0001_EAX). The error wraps ErrVCPUs.
func Signature(family, model, stepping uint) (uint32, error) {
	const maxBaseFamily = 0xF
	if family > maxBaseFamily+0xFF || model > 0xFF || stepping > 0xF {
		return 0, fmt.Errorf("%w: family %d, model %d, stepping %d: at most %d, 255 and 15 can be expressed",
			ErrVCPUs, family, model, stepping, maxBaseFamily+0xFF)
	}
	base := min(family, maxBaseFamily)
	extended := family - base
	return uint32(extended<<20 | model>>4<<16 | base<<8 | model&0xF<<4 | stepping), nil
}

// Family returns the processor family that the signature says, such as 25 (19h) for
// Milan and Genoa, the first one with SEV-SNP.
func (t VCPUType) Family() uint {
	const maxBaseFamily = 0xF
	base := uint(t.Signature >> 8 & maxBaseFamily)
	if base < maxBaseFamily {
		return base
	}
	return base + uint(t.Signature>>20&0xFF)
}

// nearest returns the n names with the smallest edit distance to name.
func nearest(name string, types []VCPUType, n int) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	name = strings.ToLower(name[:min(len(name), 64)])
	slices.SortStableFunc(names, func(a, b string) int {
		return editDistance(name, strings.ToLower(a)) - editDistance(name, strings.ToLower(b))
	})
	return names[:n]
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
