package rekernel

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// maxSmall bounds firmware and command line, in bytes.
const maxSmall = 64 << 20

// State is what came of a comparison.
type State string

// The states of a part.
const (
	Same      State = "same"
	Differs   State = "differs"
	Unchecked State = "unchecked" // there was nothing to compare it with
)

// PartAgent is the name of the part that is the agent.
const PartAgent = "agent"

// Part is one thing of a release that was compared.
type Part struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"` // for people: with what it was compared, or how it differs
}

// Comparison is what a release is held against.
type Comparison struct {
	Kernel *Kernel  // out of the packages
	From   *Release // that the rest was taken from; nil where there is none
	Agent  []byte   // of this program; nil for none

	// Published says that this program, and so its agent, is a published build.
	Published bool
}

// Compare recomputes a release. What the initrd holds besides agent, configuration and
// modules was refused by Open.
func (r *Release) Compare(with *Comparison) ([]Part, error) {
	kernel, err := r.compareKernel(with.Kernel)
	if err != nil {
		return nil, err
	}
	parts := []Part{
		kernel,
		{"initrd", Same, "it holds the agent, its configuration and modules, and nothing else"},
		compareModules(r.Segment.Modules, with.Kernel.Modules),
		r.compareAgent(with),
	}
	inherited, err := r.compareInherited(with.From)
	if err != nil {
		return nil, err
	}
	digests, err := r.compareDigests()
	return slices.Concat(parts, inherited, digests), err
}

func (r *Release) compareKernel(k *Kernel) (Part, error) {
	ours, err := os.Open(r.file(bundle.NameKernel))
	if err != nil {
		return Part{}, err
	}
	defer ours.Close()
	theirs, err := k.open()
	if err != nil {
		return Part{}, err
	}
	defer theirs.Close()
	same, err := sameBytes(ours, theirs)
	if err != nil || !same {
		return Part{"kernel", Differs, "it is not the kernel " + k.Release + " of the packages"}, err
	}
	return Part{"kernel", Same, k.Release + ", as in the packages"}, nil
}

func compareModules(got, want []kmod.Module) Part {
	var differences []string
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			differences = append(differences, want[i].Name+" is missing")
		case i >= len(want):
			differences = append(differences, got[i].Name+" is not expected")
		case got[i].Name != want[i].Name:
			differences = append(differences, fmt.Sprintf("%s in the place of %s", got[i].Name, want[i].Name))
		case !bytes.Equal(got[i].Data, want[i].Data):
			differences = append(differences, got[i].Name+" has other bytes")
		}
	}
	if len(differences) > 0 {
		return Part{"modules", Differs, strings.Join(differences[:min(len(differences), 8)], ", ")}
	}
	return Part{"modules", Same, fmt.Sprintf("%d, as in the packages", len(got))}
}

func (r *Release) compareAgent(with *Comparison) Part {
	switch {
	case with.Agent != nil && bytes.Equal(r.Segment.Agent, with.Agent):
		if !with.Published {
			return Part{PartAgent, Unchecked, "as in this program, which is not a published build"}
		}
		return Part{PartAgent, Same, "as in this program"}
	case with.From != nil && bytes.Equal(r.Segment.Agent, with.From.Segment.Agent):
		return Part{PartAgent, Unchecked, fmt.Sprintf("as in release %s, and not as in this program", with.From.Manifest.Release)}
	}
	return Part{PartAgent, Unchecked, "neither as in this program nor as in the release it is compared with"}
}

// compareInherited compares what a release takes over from the one before it.
func (r *Release) compareInherited(from *Release) (parts []Part, err error) {
	for _, f := range []struct{ what, name string }{{"firmware", bundle.NameFirmware}, {"command line", bundle.NameCmdline}} {
		p := Part{f.what, Unchecked, "there is no release to compare it with"}
		if from != nil {
			if p, err = r.compareFile(f.what, f.name, from); err != nil {
				return nil, err
			}
		}
		parts = append(parts, p)
	}
	switch {
	case from == nil:
		return append(parts, Part{"configuration", Unchecked, "there is no release to compare it with"}), nil
	case !bytes.Equal(r.Segment.Config, from.Segment.Config):
		return append(parts, Part{"configuration", Differs, fmt.Sprintf("config.json of the initrd is not that of release %s", from.Manifest.Release)}), nil
	}
	return append(parts, Part{"configuration", Same, fmt.Sprintf("as in release %s", from.Manifest.Release)}), nil
}

func (r *Release) compareFile(what, name string, from *Release) (Part, error) {
	ours, err := os.Open(r.file(name))
	if err != nil {
		return Part{}, err
	}
	defer ours.Close()
	theirs, err := os.Open(from.file(name))
	if err != nil {
		return Part{}, err
	}
	defer theirs.Close()
	same, err := sameBytes(ours, theirs)
	if err != nil || !same {
		return Part{what, Differs, fmt.Sprintf("it is not that of release %s", from.Manifest.Release)}, err
	}
	return Part{what, Same, fmt.Sprintf("as in release %s", from.Manifest.Release)}, nil
}

// compareDigests recomputes the launch digest of every variant from the bundle's files.
func (r *Release) compareDigests() ([]Part, error) {
	launch, err := r.measure()
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, v := range r.Manifest.Variants {
		name := "launch digest " + v.Name()
		model, err := measure.ParseVCPUType(v.VCPUType)
		if err != nil {
			return nil, err
		}
		digest, err := launch.Digest(measure.VCPUs{Count: v.VCPUs, Type: model})
		if err != nil {
			return nil, err
		}
		if digest.String() != v.Measurement {
			parts = append(parts, Part{name, Differs, fmt.Sprintf("the files give %s, the bundle says %s", digest, v.Measurement)})
			continue
		}
		parts = append(parts, Part{name, Same, v.Measurement})
	}
	return parts, nil
}

func (r *Release) measure() (*measure.Launch, error) {
	var content [3][]byte
	for i, name := range []string{bundle.NameFirmware, bundle.NameCmdline} {
		var err error
		if content[i], err = input.Whole(r.file(name), maxSmall); err != nil {
			return nil, err
		}
	}
	firmware, err := measure.ParseFirmware(content[0])
	if err != nil {
		return nil, err
	}
	kernel, err := os.Open(r.file(bundle.NameKernel))
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	ramdisk, err := os.Open(r.file(bundle.NameInitrd))
	if err != nil {
		return nil, err
	}
	defer ramdisk.Close()
	hashes, err := measure.HashKernel(kernel, ramdisk, string(content[1]))
	if err != nil {
		return nil, err
	}
	return measure.New(measure.Config{Firmware: firmware, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures})
}

// sameBytes reads both to their ends, or to where they differ.
func sameBytes(a, b io.Reader) (bool, error) {
	const block = 64 << 10
	left, right := make([]byte, block), make([]byte, block)
	for {
		n, errA := io.ReadFull(a, left)
		m, errB := io.ReadFull(b, right)
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF { //nolint:errorlint // ReadFull returns these as they are
				return false, err
			}
		}
		if !bytes.Equal(left[:n], right[:m]) {
			return false, nil
		}
		if n < block {
			return true, nil
		}
	}
}
