package measure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// guest is a launch that tests vary in one point at a time.
type guest struct {
	config                  measure.Config
	kernel, initrd, cmdline string
	vcpus                   measure.VCPUs
}

func newGuest(t *testing.T) guest {
	milan, err := measure.ParseVCPUType("EPYC-Milan")
	if err != nil {
		t.Fatal(err)
	}
	return guest{
		config: measure.Config{Firmware: parse(t, broken(t, 0)), GuestFeatures: measure.DefaultGuestFeatures},
		kernel: "kernel", initrd: "initrd", cmdline: "root=/dev/vda1 quiet",
		vcpus: measure.VCPUs{Count: 4, Type: milan},
	}
}

func (g guest) explain(t *testing.T) *measure.Explanation {
	t.Helper()
	if g.config.SVSM == nil && g.kernel != "" {
		h, err := measure.HashKernel(strings.NewReader(g.kernel), strings.NewReader(g.initrd), g.cmdline)
		if err != nil {
			t.Fatal(err)
		}
		g.config.Kernel = &h
	}
	launch, err := measure.New(g.config)
	if err != nil {
		t.Fatal(err)
	}
	e, err := measure.Explain(launch, g.vcpus)
	if err != nil {
		t.Fatal(err)
	}
	if e.KernelHashes != nil {
		e.KernelHashes.CommandLine = g.cmdline
	}
	digest, err := launch.Digest(g.vcpus)
	if err != nil || digest != e.Measurement || digest != e.Steps[len(e.Steps)-1].Digest {
		t.Fatalf("digest %s, %v; explained %s", digest, err, e.Measurement)
	}
	return e
}

func TestCompareNamesTheDifference(t *testing.T) {
	genoa, err := measure.ParseVCPUType("EPYC-Genoa")
	if err != nil {
		t.Fatal(err)
	}
	svsm := parse(t, vectors.MustRead(t, "measure/inputs/fw/svsm.bin"))
	moved := append(le32(0x900000), le32(0x9000)...) // the first section, elsewhere
	for _, tc := range []struct {
		name    string
		change  func(*guest)
		field   string
		meaning string
	}{
		{"VMM", func(g *guest) { g.config.VMM = measure.GCE }, "vmm", "virtual machine monitor differs"},
		{"firmware size", func(g *guest) {
			g.config.Firmware = parse(t, vectors.MustRead(t, "measure/inputs/synth/s4_hashoff_f50.fd"))
		}, "firmware.size", "firmware differs in size"},
		{"firmware", func(g *guest) { g.config.Firmware = parse(t, broken(t, -16, 0xEA)) }, "firmware.sha384", "firmware differs"},
		{"section", func(g *guest) { g.config.Firmware = parse(t, broken(t, firstSectionAt, moved...)) }, "firmware.sha384", "firmware differs"},
		{"SVSM", func(g *guest) { g.config.SVSM, g.config.SVSMVarsSize = svsm, 4096 }, "svsm", "only one starts with an SVSM"},
		{"no kernel", func(g *guest) { g.kernel = "" }, "kernel_hashes", "only one is a direct boot with a measured kernel"},
		{"kernel", func(g *guest) { g.kernel, g.initrd = "other", "other" }, "kernel_hashes.kernel", "kernel differs"},
		{"initrd", func(g *guest) { g.initrd, g.cmdline = "other", "other" }, "kernel_hashes.initrd", "initrd differs"},
		{"command line", func(g *guest) { g.cmdline = "root=/dev/vda2 quiet" }, "kernel_hashes.cmdline", "kernel command line differs from byte 13 on"},
		{"guest features", func(g *guest) { g.config.GuestFeatures = 0x21 }, "guest_features", "guest features (SEV_FEATURES) differ"},
		{"vCPU type", func(g *guest) { g.vcpus.Type, g.vcpus.Count = genoa, 8 }, "vcpu_type", "vCPU type differs"},
		{"vCPU count", func(g *guest) { g.vcpus.Count = 8 }, "vcpus", "vCPU count differs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, changed := newGuest(t), newGuest(t)
			tc.change(&changed)
			d := measure.Compare(a.explain(t), changed.explain(t))
			if len(d) == 0 || d[0].Field != tc.field || d[0].Meaning != tc.meaning || d[0].A == d[0].B {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestCompareFindsNoDifference(t *testing.T) {
	a, b := newGuest(t), newGuest(t)
	milan1, err := measure.ParseVCPUType("EPYC-Milan-v1")
	if err != nil {
		t.Fatal(err)
	}
	b.vcpus.Type = milan1 // another name of the same signature
	if d := measure.Compare(a.explain(t), b.explain(t)); len(d) > 0 {
		t.Errorf("got %+v", d)
	}
}

func TestCompareFindsEdits(t *testing.T) {
	for name, edit := range map[string]func(*measure.Explanation){
		"steps":           func(e *measure.Explanation) { e.Steps = e.Steps[:len(e.Steps)-1] },
		"steps[0].digest": func(e *measure.Explanation) { e.Steps[0].Digest[0]++ },
		"steps[1]":        func(e *measure.Explanation) { e.Steps[1].GPA++ },
		"measurement":     func(e *measure.Explanation) { e.Measurement[0]++ },
		"boot_vmsa":       func(e *measure.Explanation) { e.BootVMSA.CS.Base++ },
		"svsm.gpa":        func(e *measure.Explanation) { e.SVSM.GPA++ },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newGuest(t), newGuest(t)
			if strings.HasPrefix(name, "svsm") {
				image := parse(t, vectors.MustRead(t, "measure/inputs/fw/svsm.bin"))
				a.config.SVSM, a.config.SVSMVarsSize = image, 4096
				b.config.SVSM, b.config.SVSMVarsSize = image, 4096
			}
			edited := b.explain(t)
			edit(edited)
			if d := measure.Compare(a.explain(t), edited); len(d) == 0 || d[0].Field != name {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestExplanationSurvivesJSON(t *testing.T) {
	want := newGuest(t).explain(t)
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got measure.Explanation
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("got %+v\nwant %+v", &got, want)
	}
}

func TestHashesAreHexadecimal(t *testing.T) {
	digits := strings.Repeat("0a", 32)
	var h measure.Hash
	if err := h.UnmarshalText([]byte(digits)); err != nil || h.String() != digits {
		t.Errorf("%s: %s, %v", digits, h, err)
	}
	for text, says := range map[string]string{
		"":                "hash has 0 characters",
		digits[2:]:        "hash has 62 characters",
		digits + "0a":     "hash has 66 characters",
		"x" + digits[1:]:  "invalid byte",
		digits[:62] + "é": "invalid byte",
	} {
		if err := h.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWriteTextNamesEverything(t *testing.T) {
	e := newGuest(t).explain(t)
	var b bytes.Buffer
	if err := e.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	wanted := []string{
		"qemu", "65536 bytes at 0xffff0000", e.Firmware.SHA384.String(), e.KernelHashes.Kernel.String(),
		e.KernelHashes.Initrd.String(), e.KernelHashes.Cmdline.String(), `"root=/dev/vda1 quiet"`,
		"4 x EPYC-Milan (signature 0xa00f11)", "SEV_FEATURES 0x1", "RIP 0xfff0", "base 0xffff0000",
		"SNP_KERNEL_HASHES", "SECRETS", "CPUID", "SVSM_CAA", "vCPU 0", "vCPUs 1 to 3", e.Measurement.String(),
	}
	for _, s := range e.Steps {
		wanted = append(wanted, s.Digest.String())
	}
	for _, w := range wanted {
		if !strings.Contains(b.String(), w) {
			t.Errorf("%q is missing", w)
		}
	}
}

// TestHashKernel pins QEMU's rules for what is hashed.
func TestHashKernel(t *testing.T) {
	noInitrd, err := measure.HashKernel(strings.NewReader("k"), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	emptyInitrd, err := measure.HashKernel(strings.NewReader("k"), strings.NewReader(""), "")
	if err != nil || noInitrd != emptyInitrd {
		t.Errorf("a missing initrd must count as an empty one: %v", err)
	}
	const sha256OfNUL = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
	if noInitrd.Cmdline.String() != sha256OfNUL {
		t.Errorf("an empty command line is one NUL, got %s", noInitrd.Cmdline)
	}
	if _, err := measure.HashKernel(strings.NewReader("k"), nil, "a\x00b"); !errors.Is(err, measure.ErrConfig) {
		t.Errorf("a NUL in the command line: got %v", err)
	}
	failing := errors.New("disk on fire")
	for _, readers := range [][2]*failingReader{{{failing}, nil}, {nil, {failing}}} {
		if _, err := measure.HashKernel(readers[0], readers[1], ""); !errors.Is(err, failing) {
			t.Errorf("got %v, want the reader's error", err)
		}
	}
}

// failingReader fails, or ends at once when it is nil.
type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) {
	if r == nil {
		return 0, io.EOF
	}
	return 0, r.err
}
