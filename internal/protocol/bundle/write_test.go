package bundle_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

func TestWriteRefusesChangedFiles(t *testing.T) {
	for name, change := range map[string]func(*bundle.Blob){
		"shorter": func(b *bundle.Blob) { b.Size++ },
		"longer":  func(b *bundle.Blob) { b.Size-- },
		"other":   func(b *bundle.Blob) { b.SHA256[0]++ },
		"gone":    func(b *bundle.Blob) { b.Open = func() (io.ReadCloser, error) { return nil, os.ErrNotExist } },
	} {
		r := release()
		change(&r.Kernel)
		for _, format := range []bundle.Format{bundle.Tar, bundle.TarGz, bundle.SquashFS} {
			if err := bundle.Write(io.Discard, r, identityKey(), format); err == nil || !strings.Contains(err.Error(), "vmlinuz") {
				t.Errorf("%s as %s: got %v", name, format, err)
			}
		}
	}
}

// TestWriteRefuses has releases of which no bundle can be made, signed or not.
func TestWriteRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*bundle.Release)
		says   string
	}{
		"no variants":       {func(r *bundle.Release) { r.Variants = nil }, "malformed bundle: 0 variants, 4 files"},
		"5 GiB":             {func(r *bundle.Release) { r.Kernel.Size = 5 << 30 }, "vmlinuz has more than 4 GiB"},
		"a name with space": {func(r *bundle.Release) { r.Variants[1].VCPUType = "EPYC Genoa" }, "EPYC Genoa"},
		"a year too late":   {func(r *bundle.Release) { r.CreatedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }, "year outside of range"},
		"a year too early":  {func(r *bundle.Release) { r.CreatedAt = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) }, "write manifest.json: archive/tar"},
	} {
		r := release()
		tc.change(&r)
		for how, err := range map[string]error{
			"signed": bundle.Write(io.Discard, r, identityKey(), bundle.Tar), "unsigned": bundle.WriteUnsigned(io.Discard, r),
		} {
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
	}
	if err := bundle.Write(io.Discard, release(), identityKey(), "zip"); err == nil || !strings.Contains(err.Error(), `"zip"`) {
		t.Errorf("an unknown format: %v", err)
	}
}

// TestLongNames has one for which a plain tar header has no room.
func TestLongNames(t *testing.T) {
	r, vcpuType := release(), strings.Repeat("x", 120)
	r.Variants[1].VCPUType = vcpuType
	var b bytes.Buffer
	if err := bundle.Write(&b, r, identityKey(), bundle.Tar); err != nil {
		t.Fatal(err)
	}
	m, err := bundle.Trust{Identity: public(identityKey())}.Verify(&b)
	if err != nil || !strings.Contains(m.VariantFile(1, bundle.NameIDBlock), vcpuType) {
		t.Errorf("%+v, %v", m, err)
	}
}
