package measure_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// TestVCPUTypesAreQEMUs compares the table with what QEMU itself says: the same
// names, the same signatures, none missing.
func TestVCPUTypesAreQEMUs(t *testing.T) {
	var models []struct {
		Name                    string
		Family, Model, Stepping uint
	}
	vectors.ReadJSON(t, "measure/qemu-cpu-models.json", &models)
	if got := len(measure.VCPUTypes()); got != len(models) || got == 0 {
		t.Errorf("%d types, QEMU has %d", got, len(models))
	}
	for _, m := range models {
		want, err := measure.Signature(m.Family, m.Model, m.Stepping)
		if err != nil {
			t.Fatal(err)
		}
		got, err := measure.ParseVCPUType(m.Name)
		if err != nil || got.Signature != want {
			t.Errorf("%s: got %#x, %v, want %#x", m.Name, got.Signature, err, want)
		}
	}
}

func TestSignature(t *testing.T) {
	for _, tc := range []struct{ family, model, stepping, want uint }{
		{14, 1, 2, 0xe12}, // from the tests of sev-snp-measure, as the next
		{23, 1, 2, 0x800f12},
		{26, 0, 0, 0xb00f00},
		{25, 160, 2, 0xaa0f02},
		{270, 255, 15, 0xfff0fff},
		{0, 0, 0, 0},
	} {
		got, err := measure.Signature(tc.family, tc.model, tc.stepping)
		if err != nil || uint(got) != tc.want {
			t.Errorf("%d/%d/%d: got %#x, %v, want %#x", tc.family, tc.model, tc.stepping, got, err, tc.want)
		}
		if family := measure.VCPUTypeFromSignature(got).Family(); family != tc.family {
			t.Errorf("%#x is of family %d, want %d", got, family, tc.family)
		}
	}
	for _, tc := range [][3]uint{{271, 0, 0}, {25, 256, 0}, {25, 1, 16}} {
		if _, err := measure.Signature(tc[0], tc[1], tc[2]); !errors.Is(err, measure.ErrVCPUs) {
			t.Errorf("%v: got %v, want %v", tc, err, measure.ErrVCPUs)
		}
	}
}

func TestUnknownVCPUTypeNamesTheNearest(t *testing.T) {
	for name, nearest := range map[string]string{
		"epyc-milan": "EPYC-Milan", "EPYC-Genao": "EPYC-Genoa", "Rome": "EPYC-Rome", "EPYC-Turin-v9": "EPYC-Turin-v1",
		strings.Repeat("x", 1<<20): "EPYC",
	} {
		_, err := measure.ParseVCPUType(name)
		if !errors.Is(err, measure.ErrVCPUs) || !strings.Contains(err.Error(), "did you mean "+nearest) && !strings.Contains(err.Error(), ", "+nearest) {
			t.Errorf("%.20s: got %.200v, want an error that names %s", name, err, nearest)
		}
	}
}

func TestDigestRefusesCounts(t *testing.T) {
	launch, err := measure.New(measure.Config{Firmware: parse(t, broken(t, 0))})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 0, measure.MaxVCPUs + 1} {
		if _, err := launch.Digest(measure.VCPUs{Count: n}); !errors.Is(err, measure.ErrVCPUs) {
			t.Errorf("%d vCPUs: got %v", n, err)
		}
		if _, err := measure.Explain(launch, measure.VCPUs{Count: n}); !errors.Is(err, measure.ErrVCPUs) {
			t.Errorf("explain %d vCPUs: got %v", n, err)
		}
	}
}
