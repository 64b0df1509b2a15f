package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Upload is a file of a registration.
type Upload struct {
	Part string // name of the part, such as "kernel"
	Open func() (io.ReadCloser, error)
}

// Register registers a release of a new image, or of the image in. The files
// are streamed in the given order; written counts their bytes as they go.
func (c *Client) Register(ctx context.Context, in wire.Registration, files []Upload, further bool, written func(int)) (*wire.Registered, error) {
	path := wire.PathImages
	if further {
		path += "/" + in.ImageID.String() + "/releases"
	}
	body, contentType := multipartBody(in, files, written)
	defer body.Close() //nolint:errcheck // never fails; it ends the writer when the service answers early
	var out wire.Registered
	return &out, c.call(ctx, request{method: http.MethodPost, path: path, body: body, contentType: contentType}, nil, &out)
}

// multipartBody streams a registration.
func multipartBody(in wire.Registration, files []Upload, written func(int)) (*io.PipeReader, string) {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		writer.CloseWithError(writeForm(form, in, files, written))
	}()
	return reader, form.FormDataContentType()
}

func writeForm(form *multipart.Writer, in wire.Registration, files []Upload, written func(int)) error {
	part, err := form.CreatePart(map[string][]string{
		"Content-Disposition": {`form-data; name="registration"`}, "Content-Type": {"application/json"},
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(part).Encode(in); err != nil {
		return err
	}
	for _, f := range files {
		if err := writePart(form, f, written); err != nil {
			return fmt.Errorf("upload %s: %w", f.Part, err)
		}
	}
	return form.Close()
}

func writePart(form *multipart.Writer, f Upload, written func(int)) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	part, err := form.CreateFormFile(f.Part, f.Part)
	if err != nil {
		return err
	}
	_, err = io.Copy(counter{part, written}, r)
	return err
}

// counter tells how much goes through it.
type counter struct {
	io.Writer
	count func(int)
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if c.count != nil {
		c.count(n)
	}
	return n, err
}

// ImageFilter selects images. The zero value selects all.
type ImageFilter struct {
	Name    string // part of the name
	Labels  []string
	Enabled *bool
}

// pageSize is how many rows are asked for at once.
const pageSize = 200

// Images returns all images that pass a filter, without their releases.
func (c *Client) Images(ctx context.Context, f ImageFilter) ([]wire.Image, error) {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "label": f.Labels}
	if f.Name != "" {
		query.Set("name", f.Name)
	}
	if f.Enabled != nil {
		query.Set("enabled", strconv.FormatBool(*f.Enabled))
	}
	all := []wire.Image{}
	for {
		var page wire.ImageList
		if err := c.call(ctx, request{method: http.MethodGet, path: wire.PathImages, query: query}, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

func imagePath(id wire.UUID) string { return wire.PathImages + "/" + id.String() }

func releasePath(image, release wire.UUID) string {
	return imagePath(image) + "/releases/" + release.String()
}

// Image returns an image with its releases.
func (c *Client) Image(ctx context.Context, id wire.UUID) (*wire.Image, error) {
	var image wire.Image
	return &image, c.call(ctx, request{method: http.MethodGet, path: imagePath(id)}, nil, &image)
}

// PatchImage changes an image and returns it as it is then.
func (c *Client) PatchImage(ctx context.Context, id wire.UUID, p wire.ImagePatch) (*wire.Image, error) {
	var image wire.Image
	return &image, c.call(ctx, request{method: http.MethodPatch, path: imagePath(id)}, p, &image)
}

// DeleteImage deletes an image with all of its releases.
func (c *Client) DeleteImage(ctx context.Context, id wire.UUID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: imagePath(id)}, nil, nil)
}

// PatchRelease changes a release and returns it as it is then.
func (c *Client) PatchRelease(ctx context.Context, image, release wire.UUID, p wire.ReleasePatch) (*wire.Release, error) {
	var out wire.Release
	return &out, c.call(ctx, request{method: http.MethodPatch, path: releasePath(image, release)}, p, &out)
}

// DeleteRelease deletes a release.
func (c *Client) DeleteRelease(ctx context.Context, image, release wire.UUID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: releasePath(image, release)}, nil, nil)
}

// BundleRequest asks for a launch bundle.
type BundleRequest struct {
	Image, Release wire.UUID
	Variant        string // the default one, such as "4xEPYC-Genoa"; empty keeps all of them
	Format         bundle.Format
}

// Bundle writes the launch bundle of a release to w.
func (c *Client) Bundle(ctx context.Context, r BundleRequest, w io.Writer) error {
	query := url.Values{"format": {string(r.Format)}}
	if r.Variant != "" {
		query.Set("variant", r.Variant)
	}
	body, err := c.open(ctx, request{
		method: http.MethodGet, path: releasePath(r.Image, r.Release) + "/bundle", query: query, accept: bundleType(r.Format),
	})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// bundleType is the content type of a bundle.
func bundleType(f bundle.Format) string {
	switch f {
	case bundle.TarGz:
		return "application/gzip"
	case bundle.Tar:
		return "application/x-tar"
	}
	return "application/octet-stream"
}
