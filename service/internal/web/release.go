package web

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// releasePage is what the template needs, on the image's page too.
type releasePage struct {
	store.Release
	Of          store.Image
	Path        string
	GuestPolicy string // number and names
	Variants    []shownVariant
	Artifacts   []shownArtifact
	Formats     []bundle.Format
	ContentHash string                // in hexadecimal
	PolicyText  string                // indented; empty for none
	Findings    []wire.ReleaseFinding // nil when none were reported
	Provenance  *wire.Provenance      // nil when nothing was said
	Verified    []wire.Verified
	Use         string
	Others      []store.Release // to compare it with
}

// Reported reports whether whoever registered the release told of the conversion.
func (p *releasePage) Reported() bool { return p.Findings != nil }

// shownVariant is a variant with its digest in hexadecimal.
type shownVariant struct {
	Name        string // as in the bundle
	VCPUs       int
	VCPUType    string
	Measurement string
}

// shownArtifact is a file of a release.
type shownArtifact struct {
	Name, SHA256 string
	Size         int64
}

// releaseOf returns the release in the path, and its image.
func (w *Web) releaseOf(r *request) (store.Image, wire.UUID, error) {
	imageID, err := r.id("id")
	if err != nil {
		return store.Image{}, wire.UUID{}, err
	}
	id, err := r.id("rid")
	if err != nil {
		return store.Image{}, wire.UUID{}, err
	}
	image, err := w.cfg.Store.ImageByID(r.Context(), imageID)
	return image, id, err
}

func (w *Web) releasePage(ctx context.Context, image store.Image, id wire.UUID) (*releasePage, error) {
	release, err := w.cfg.Store.ReleaseByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if release.ImageID != image.ID {
		return nil, missing(nil)
	}
	policy := idblock.GuestPolicy(release.GuestPolicy)
	body := &releasePage{
		Release: release, Of: image, Path: "/images/" + image.ID.String() + "/releases/" + id.String(),
		GuestPolicy: "0x" + hexNumber(release.GuestPolicy) + " " + policy.String(),
		Formats:     []bundle.Format{bundle.TarGz, bundle.Tar, bundle.SquashFS},
	}
	for _, v := range release.Variants {
		body.Variants = append(body.Variants, shownVariant{registry.VariantName(v), v.VCPUs, v.VCPUType, hex.EncodeToString(v.Measurement[:])})
	}
	for _, a := range registry.Artifacts(release) {
		body.Artifacts = append(body.Artifacts, shownArtifact{a.Name, hex.EncodeToString(a.SHA256[:]), a.Size})
	}
	if body.Findings, err = registry.Findings(release); err != nil {
		return nil, err
	}
	if body.Provenance, err = registry.Provenance(release); err != nil {
		return nil, err
	}
	if body.Verified, err = w.cfg.Registry.Verified(ctx, &release); err != nil {
		return nil, err
	}
	use, err := w.cfg.Store.ReleaseUse(ctx, id)
	if err != nil {
		return nil, err
	}
	body.Use = registry.UseText(use)
	content := release.ContentHash()
	body.ContentHash = hex.EncodeToString(content[:])
	if len(release.Policy) > 0 {
		var shown *shownPolicy
		if shown, err = showPolicy(release.Policy); err == nil {
			body.PolicyText = shown.PolicyText
		}
	}
	return body, err
}

func (w *Web) showRelease(rw http.ResponseWriter, r *request) error {
	return w.renderRelease(rw, r, http.StatusOK, page{})
}

// renderRelease shows the release in the path, with a problem that there was.
func (w *Web) renderRelease(rw http.ResponseWriter, r *request, status int, p page) error {
	image, id, err := w.releaseOf(r)
	if err != nil {
		return err
	}
	body, err := w.releasePage(r.Context(), image, id)
	if err != nil {
		return err
	}
	releases, err := w.cfg.Store.ListReleases(r.Context(), image.ID)
	if err != nil {
		return err
	}
	for _, other := range releases {
		if other.ID != id {
			body.Others = append(body.Others, other)
		}
	}
	if r.Method == http.MethodPost && r.PostForm.Has("policy") {
		body.PolicyText = r.PostForm.Get("policy")
	}
	p.Name, p.Title, p.Nav, p.Body = "release.html", "Release of "+image.Name, "images", body
	return w.render(rw, r, status, p)
}

// changeRelease changes the release in the path and shows it again.
func (w *Web) changeRelease(rw http.ResponseWriter, r *request, patch wire.ReleasePatch, notice string) error {
	image, id, err := w.releaseOf(r)
	if err != nil {
		return err
	}
	err = w.cfg.Registry.PatchRelease(r.Context(), r.who(), image.ID, id, patch)
	if p, ok := asProblem(err); ok && p.Status != http.StatusNotFound {
		return w.renderRelease(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return redirect(rw, r, "/images/"+image.ID.String()+"/releases/"+id.String(), notice)
}

// deleteRelease wants the beginning of its ID typed, which releases have in place
// of a name.
func (w *Web) deleteRelease(rw http.ResponseWriter, r *request) error {
	image, id, err := w.releaseOf(r)
	if err != nil {
		return err
	}
	if r.PostForm.Get("typed") != id.String()[:8] {
		return w.renderRelease(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
			Title: "The release was not deleted.", Detail: "The characters that you typed are not the beginning of its ID.",
		}})
	}
	if err := w.cfg.Registry.DeleteRelease(r.Context(), r.who(), image.ID, id); err != nil {
		return err
	}
	return redirect(rw, r, "/images/"+image.ID.String(), "deleted")
}

func (w *Web) downloadBundle(rw http.ResponseWriter, r *request) error {
	image, id, err := w.releaseOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	format, err := bundle.ParseFormat(q.Get("format"))
	if err != nil {
		return refused("Format: want tar.gz, tar or squashfs.")
	}
	export, err := w.cfg.Registry.Export(r.Context(), r.who(), image.ID, id, registry.ExportOptions{Variant: q.Get("variant"), Format: format})
	if err != nil {
		return err
	}
	defer export.Close()
	return api.SendBundle(w.cfg.Pace.Writer(rw, r.control), export)
}

func (w *Web) downloadArtifact(rw http.ResponseWriter, r *request) error {
	image, id, err := w.releaseOf(r)
	if err != nil {
		return err
	}
	artifact, file, err := w.cfg.Registry.OpenArtifact(r.Context(), r.who(), image.ID, id, r.params.ByName("name"))
	if err != nil {
		return err
	}
	defer file.Close()
	return api.SendArtifact(w.cfg.Pace.Writer(rw, r.control), artifact, file)
}
