package api

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// partRegistration is the first part of a registration, in JSON.
const partRegistration = "registration"

// Limits of a registration, in bytes.
const (
	maxRegistration      = 128 << 10
	maxMultipartOverhead = maxRegistration + 64<<10 // boundaries and headers
)

// FinishTime bounds what follows the last byte of a registration: measuring and
// signing hundreds of variants, and storing them.
const FinishTime = quick * 4

func (a *API) registerImage(w http.ResponseWriter, r *request) error {
	upload, err := a.cfg.Registry.UploadImage(r.Context(), r.actor)
	if err != nil {
		return err
	}
	return a.register(w, r, upload)
}

func (a *API) registerRelease(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	upload, err := a.cfg.Registry.UploadRelease(r.Context(), r.actor, id)
	if err != nil {
		return err
	}
	return a.register(w, r, upload)
}

func (a *API) register(w http.ResponseWriter, r *request, upload *registry.Upload) error {
	defer upload.Abort()
	if err := readRegistration(r.Context(), a.cfg.Limits.Pace.Reader(r.Body, r.control), r.Header.Get("Content-Type"), upload); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), FinishTime)
	defer cancel()
	image, release, err := upload.Finish(ctx)
	if err != nil {
		return err
	}
	shown, err := a.wireRelease(ctx, release)
	if err != nil {
		return err
	}
	if err := writeBy(r.control, time.Now().Add(answerTime)); err != nil {
		return err
	}
	w.Header().Set("Location", releasePath(image, release))
	return writeJSON(w, http.StatusCreated, wire.Registered{Image: wireImage(image), Release: shown})
}

func releasePath(image store.Image, release store.Release) string {
	return wire.PathImages + "/" + image.ID.String() + "/releases/" + release.ID.String()
}

// readRegistration reads a whole registration, up to the end of its body.
func readRegistration(ctx context.Context, body io.Reader, contentType string, upload *registry.Upload) error {
	boundary, err := boundaryOf(contentType)
	if err != nil {
		return err
	}
	parts := multipart.NewReader(body, boundary)
	registration, err := firstPart(parts)
	if err != nil {
		return err
	}
	if err := upload.Begin(ctx, registration); err != nil {
		return err
	}
	if err := addParts(ctx, parts, upload); err != nil {
		return err
	}
	// Reading to the end is how a body that was cut short is told from a whole
	// one. What follows the last boundary means nothing (RFC 2046, section 5.1).
	if _, err := io.Copy(io.Discard, io.LimitReader(body, maxMultipartOverhead)); err != nil {
		return bodyError(err)
	}
	return nil
}

// firstPart wants the registration.
func firstPart(parts *multipart.Reader) (wire.Registration, error) {
	var registration wire.Registration
	part, err := parts.NextRawPart()
	if err != nil {
		return registration, partError(err)
	}
	if part.FormName() != partRegistration {
		return registration, malformed("the first part must be %s", partRegistration)
	}
	data, err := io.ReadAll(io.LimitReader(part, maxRegistration+1))
	if err != nil {
		return registration, bodyError(err)
	}
	if len(data) > maxRegistration {
		return registration, fail(wire.CodeTooLarge, "part %s is larger than %s", partRegistration, size.Text(maxRegistration))
	}
	return registration, decodeJSON(data, &registration)
}

// addParts hands the files to the upload, as they come.
func addParts(ctx context.Context, parts *multipart.Reader, upload *registry.Upload) error {
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return partError(err)
		}
		body := &ClientReader{Reader: part}
		err = upload.Add(ctx, part.FormName(), body)
		if body.Err != nil {
			return bodyError(body.Err)
		}
		if err != nil {
			return err
		}
	}
}

// ClientReader remembers whether it was the client that failed, not the disk.
type ClientReader struct {
	io.Reader
	Err error // of the client
}

// Read implements io.Reader.
func (r *ClientReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.Err = err
	}
	return n, err
}

// partError makes what multipart says fit for a client.
func partError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return malformed("the multipart body is malformed, or ended early").because(err)
}
