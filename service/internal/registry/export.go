package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Export is a launch bundle that is about to be written.
type Export struct {
	registry *Registry
	release  bundle.Release
	format   bundle.Format
}

// Export prepares the bundle of a release: of all variants, or of the one that is
// named as in "4xEPYC-Genoa". The error is a *RefusedError or wraps
// store.ErrNotFound or store.ErrTampered.
func (r *Registry) Export(ctx context.Context, image, id wire.UUID, variant string, format bundle.Format) (*Export, error) {
	release, err := r.Release(ctx, image, id)
	if err != nil {
		return nil, err
	}
	of, err := r.Store.ImageByID(ctx, image)
	if err != nil {
		return nil, err
	}
	e := &Export{registry: r, format: format, release: bundle.Release{
		Image: image, Release: id, ImageName: of.Name, CreatedAt: release.CreatedAt, Simulated: of.Simulated,
		Policy: release.GuestPolicy, Cmdline: release.Cmdline,
		Firmware: r.blob(ctx, release.Firmware), Kernel: r.blob(ctx, release.Kernel), Initrd: r.blob(ctx, release.Initrd),
	}}
	for _, v := range release.Variants {
		exported := bundle.ReleaseVariant{
			VCPUs: v.VCPUs, VCPUType: v.VCPUType, Measurement: v.Measurement, IDBlock: v.IDBlock, IDAuth: v.IDAuth,
		}
		if variant == "" || variant == VariantName(v) {
			if err := checkSigned(&of, &release, &v); err != nil {
				return nil, err
			}
			e.release.Variants = append(e.release.Variants, exported)
		}
	}
	if len(e.release.Variants) == 0 {
		return nil, refused("the release has no variant %.60q", variant)
	}
	return e, nil
}

// VariantName names a variant as the files of a bundle do, such as "4xEPYC-Genoa".
func VariantName(v store.Variant) string {
	return bundle.Variant{VCPUs: v.VCPUs, VCPUType: v.VCPUType}.Name()
}

// Stream writes the bundle, without holding a file in memory. A failure leaves w
// with a part of it.
func (e *Export) Stream(w io.Writer) error {
	return bundle.Write(w, e.release, e.registry.Identity, e.format)
}

// blob is an artifact that is opened when the bundle comes to it. An initrd that
// is not there becomes an empty file, which has the same measurement.
func (r *Registry) blob(ctx context.Context, ref store.ArtifactRef) bundle.Blob {
	if ref == (store.ArtifactRef{}) {
		return bundle.Blob{SHA256: sha256.Sum256(nil), Open: func() (io.ReadCloser, error) { return io.NopCloser(noBytes{}), nil }}
	}
	return bundle.Blob{Size: ref.Size, SHA256: ref.SHA256, Open: func() (io.ReadCloser, error) {
		return r.Artifacts.Open(ctx, ref)
	}}
}

// Artifact is a file of a release.
type Artifact struct {
	Name string // as in the bundle
	store.ArtifactRef
}

// Artifacts returns the files of a release.
func Artifacts(r store.Release) []Artifact {
	files := []Artifact{{bundle.NameFirmware, r.Firmware}, {bundle.NameKernel, r.Kernel}}
	if r.Initrd != (store.ArtifactRef{}) {
		files = append(files, Artifact{bundle.NameInitrd, r.Initrd})
	}
	return files
}

// OpenArtifact opens a file of a release by its name in the bundle. The caller
// closes it. The error wraps store.ErrNotFound.
func (r *Registry) OpenArtifact(ctx context.Context, release store.Release, name string) (Artifact, io.ReadCloser, error) {
	for _, a := range Artifacts(release) {
		if a.Name == name {
			file, err := r.Artifacts.Open(ctx, a.ArtifactRef)
			return a, file, err
		}
	}
	return Artifact{}, nil, fmt.Errorf("artifact %.40q: %w", name, store.ErrNotFound)
}
