package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Export is a launch bundle that is about to be written.
type Export struct {
	registry *Registry
	permit   *access.Permit
	release  bundle.Release
	format   bundle.Format
}

// ExportOptions say which bundle of a release is wanted.
type ExportOptions struct {
	Variant string // such as "4xEPYC-Genoa"; empty: all
	Format  bundle.Format
}

// Export prepares the bundle of a release. The error is a *RefusedError or wraps
// store.ErrNotFound or store.ErrTampered. It takes a place, which Close gives back.
func (r *Registry) Export(ctx context.Context, actor access.Actor, image, id wire.UUID, want ExportOptions) (*Export, error) {
	if err := r.Gate.Permit(ctx, actor, access.ExportRelease); err != nil {
		return nil, err
	}
	e, err := r.Bundle(ctx, image, id, want)
	if err != nil {
		return nil, err
	}
	if e.permit, err = r.Gate.Begin(ctx, actor, access.ExportRelease); err != nil {
		return nil, err
	}
	return e, nil
}

// Bundle prepares the bundle of a release without asking who wants it: bundles are
// signed, and no secrets. The error is Export's.
func (r *Registry) Bundle(ctx context.Context, image, id wire.UUID, want ExportOptions) (*Export, error) {
	release, err := r.Release(ctx, image, id)
	if err != nil {
		return nil, err
	}
	of, err := r.Store.ImageByID(ctx, image)
	if err != nil {
		return nil, err
	}
	e := &Export{registry: r, format: want.Format, release: bundle.Release{
		Image: image, Release: id, ImageName: of.Name, CreatedAt: release.CreatedAt, Simulated: of.Simulated,
		Policy: release.GuestPolicy, Cmdline: release.Cmdline,
		Firmware: r.blob(ctx, release.Firmware), Kernel: r.blob(ctx, release.Kernel), Initrd: r.blob(ctx, release.Initrd),
	}}
	for _, v := range release.Variants {
		exported := bundle.ReleaseVariant{
			VCPUs: v.VCPUs, VCPUType: v.VCPUType, Measurement: v.Measurement, IDBlock: v.IDBlock, IDAuth: v.IDAuth,
		}
		if want.Variant == "" || want.Variant == VariantName(v) {
			if err := checkSigned(&of, &release, &v); err != nil {
				return nil, err
			}
			e.release.Variants = append(e.release.Variants, exported)
		}
	}
	if len(e.release.Variants) == 0 {
		return nil, refused("the release has no variant %.60q", want.Variant)
	}
	return e, nil
}

// Format returns the format that was asked for.
func (e *Export) Format() bundle.Format { return e.format }

// Close gives the place back.
func (e *Export) Close() {
	if e.permit != nil {
		e.permit.End()
	}
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

// OpenArtifact opens a file of a release by its name in the bundle. It takes a place,
// which closing the file gives back. The error wraps store.ErrNotFound.
func (r *Registry) OpenArtifact(ctx context.Context, actor access.Actor, image, id wire.UUID, name string) (Artifact, io.ReadCloser, error) {
	permit, err := r.Gate.Begin(ctx, actor, access.ExportRelease)
	if err != nil {
		return Artifact{}, nil, err
	}
	a, file, err := r.openArtifact(ctx, image, id, name)
	if err != nil {
		permit.End()
		return Artifact{}, nil, err
	}
	return a, &exportedFile{file, permit}, nil
}

func (r *Registry) openArtifact(ctx context.Context, image, id wire.UUID, name string) (Artifact, io.ReadCloser, error) {
	release, err := r.Release(ctx, image, id)
	if err != nil {
		return Artifact{}, nil, err
	}
	for _, a := range Artifacts(release) {
		if a.Name == name {
			file, err := r.Artifacts.Open(ctx, a.ArtifactRef)
			return a, file, err
		}
	}
	return Artifact{}, nil, fmt.Errorf("artifact %.40q: %w", name, store.ErrNotFound)
}

// exportedFile is an open artifact and the place that it has.
type exportedFile struct {
	io.ReadCloser
	permit *access.Permit
}

// Close closes the file and gives the place back.
func (f *exportedFile) Close() error {
	defer f.permit.End()
	return f.ReadCloser.Close()
}
