package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
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
	leave, err := enter(a.exports, "bundles are written")
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

// enter takes a place, or says that there is none.
func enter(places chan struct{}, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, fail(wire.CodeUnavailable, "as many %s as the service allows at a time", what)
	}
}
