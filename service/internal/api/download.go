package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
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
	export, err := a.Registry.Export(r.Context(), image, id, q.get("variant"), format)
	if err != nil {
		return err
	}
	leave, err := a.exports.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	attach(w, bundleType(format), "launch-artifacts."+string(format))
	return export.Stream(newPacedWriter(w, r.control, a.pace))
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
	release, err := a.Registry.Release(r.Context(), image, id)
	if err != nil {
		return err
	}
	leave, err := a.exports.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	artifact, file, err := a.Registry.OpenArtifact(r.Context(), release, r.params.ByName("name"))
	if err != nil {
		return err
	}
	defer file.Close()
	attach(w, typeBytes, artifact.Name)
	w.Header().Set("Content-Length", strconv.FormatInt(artifact.Size, 10))
	w.Header().Set("Repr-Digest", reprDigest(artifact.SHA256))
	if _, err := io.Copy(newPacedWriter(w, r.control, a.pace), file); err != nil {
		return fmt.Errorf("write %s: %w", artifact.Name, err)
	}
	return nil
}
