package releasediff_test

import (
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/releasediff"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func release() *wire.Release {
	return &wire.Release{
		ID: wire.NewUUID(), State: wire.StateApproved, Cmdline: "root=/dev/sda ro quiet", GuestPolicy: "0x30000", Policy: []byte("null"),
		Artifacts:  []wire.Artifact{{Name: "vmlinuz", Size: 1, SHA256: "a"}, {Name: "initrd.img", Size: 2, SHA256: "b"}},
		Variants:   []wire.Variant{{VCPUs: 1, VCPUType: "EPYC-Milan", Measurement: "m"}},
		Provenance: &wire.Provenance{Packages: []wire.ProvenancePackage{{Name: "linux-image", Version: "1", Architecture: "amd64", SHA256: "p"}}},
		Findings:   []wire.ReleaseFinding{{Code: "kdump", Severity: "warning", Text: "t"}},
	}
}

// TestCompare changes each thing that a release is measured or decided by.
func TestCompare(t *testing.T) {
	if got := releasediff.Compare(release(), release()); len(got) != 0 {
		t.Errorf("two of the same: %+v", got)
	}
	for name, tc := range map[string]struct {
		change func(*wire.Release)
		want   []releasediff.Change
	}{
		"a word": {func(r *wire.Release) { r.Cmdline = "root=/dev/sda rw quiet" }, []releasediff.Change{
			{What: "command line", Old: "ro"}, {What: "command line", New: "rw"},
		}},
		"a word twice": {func(r *wire.Release) { r.Cmdline += " quiet" }, []releasediff.Change{{What: "command line", New: "quiet"}}},
		"another order": {func(r *wire.Release) { r.Cmdline = "ro root=/dev/sda quiet" }, []releasediff.Change{
			{What: "command line, in another order", Old: "root=/dev/sda ro quiet", New: "ro root=/dev/sda quiet"},
		}},
		"a file": {func(r *wire.Release) { r.Artifacts[0] = wire.Artifact{Name: "vmlinuz", Size: 3, SHA256: "c"} }, []releasediff.Change{
			{What: "file", Name: "vmlinuz", Old: "1 bytes, SHA-256 a", New: "3 bytes, SHA-256 c"},
		}},
		"no initrd":     {func(r *wire.Release) { r.Artifacts = r.Artifacts[:1] }, []releasediff.Change{{What: "file", Name: "initrd.img", Old: "2 bytes, SHA-256 b"}}},
		"guest policy":  {func(r *wire.Release) { r.GuestPolicy = "0xb0000" }, []releasediff.Change{{What: "guest policy", Old: "0x30000", New: "0xb0000"}}},
		"guest SVN":     {func(r *wire.Release) { r.GuestSVN = 1 }, []releasediff.Change{{What: "guest SVN", Old: "0", New: "1"}}},
		"report policy": {func(r *wire.Release) { r.Policy = []byte("{}") }, []releasediff.Change{{What: "report policy", New: "{}"}}},
		"variant": {func(r *wire.Release) { r.Variants[0].VCPUs = 2 }, []releasediff.Change{
			{What: "variant", Name: "1xEPYC-Milan", Old: "m"}, {What: "variant", Name: "2xEPYC-Milan", New: "m"},
		}},
		"package": {func(r *wire.Release) { r.Provenance.Packages[0].Version = "2" }, []releasediff.Change{
			{What: "package", Name: "linux-image", Old: "1 amd64, SHA-256 p", New: "2 amd64, SHA-256 p"},
		}},
		"archive": {func(r *wire.Release) {
			r.Provenance.Archive = &wire.ProvenanceArchive{Origin: "Debian", Suite: "trixie", SignedBy: "k", Date: time.Unix(0, 0)}
		}, []releasediff.Change{{What: "archive", New: "Debian trixie of 1970-01-01 00:00:00Z, signed by k"}}},
		"findings": {func(r *wire.Release) { r.Findings = nil }, []releasediff.Change{{What: "finding", Name: "kdump", Old: "warning: t"}}},
		"state":    {func(r *wire.Release) { r.State, r.ApprovedBy = wire.StateRetired, "somebody" }, nil},
	} {
		b := release()
		tc.change(b)
		if got := releasediff.Compare(release(), b); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}
