package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
)

// bundle writes a launch bundle as it is made.
func (a *API) bundle(w http.ResponseWriter, r *request) error {
	image, id, err := releaseIDs(r)
	if err != nil {
		return err
	}
	q := queryOf(r, []string{"variant", "format"})
	if q.err != nil {
		return q.err
	}
	format, err := bundle.ParseFormat(q.get("format"))
	if err != nil {
		return malformed("parameter format: want tar.gz, tar or squashfs")
	}
	export, err := a.cfg.Registry.Export(r.Context(), r.actor, image, id, registry.ExportOptions{Variant: q.get("variant"), Format: format})
	if err != nil {
		return err
	}
	defer export.Close()
	return SendBundle(a.cfg.Limits.Pace.Writer(w, r.control), export)
}

// SendBundle sends a launch bundle.
func SendBundle(w http.ResponseWriter, export *registry.Export) error {
	attach(w, bundleType(export.Format()), "launch-artifacts."+string(export.Format()))
	return export.Stream(w)
}

func bundleType(f bundle.Format) string {
	switch f {
	case bundle.TarGz:
		return typeGzip
	case bundle.Tar:
		return "application/x-tar"
	case bundle.SquashFS:
	}
	return typeBytes
}

// artifact writes one file of a release.
func (a *API) artifact(w http.ResponseWriter, r *request) error {
	image, id, err := releaseIDs(r)
	if err != nil {
		return err
	}
	artifact, file, err := a.cfg.Registry.OpenArtifact(r.Context(), r.actor, image, id, r.params.ByName("name"))
	if err != nil {
		return err
	}
	defer file.Close()
	return SendArtifact(a.cfg.Limits.Pace.Writer(w, r.control), artifact, file)
}

// SendArtifact sends a file of a release.
func SendArtifact(w http.ResponseWriter, artifact registry.Artifact, file io.Reader) error {
	attach(w, typeBytes, artifact.Name)
	w.Header().Set("Content-Length", strconv.FormatInt(artifact.Size, 10))
	w.Header().Set("Repr-Digest", reprDigest(artifact.SHA256))
	if _, err := io.Copy(w, file); err != nil {
		return fmt.Errorf("write %s: %w", artifact.Name, err)
	}
	return nil
}
