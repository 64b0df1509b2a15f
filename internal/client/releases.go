package client

import (
	"context"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Release returns a release of an image.
func (c *Client) Release(ctx context.Context, image, release wire.UUID) (*wire.Release, error) {
	var out wire.Release
	return &out, c.call(ctx, request{method: http.MethodGet, path: releasePath(image, release)}, nil, &out)
}

// ReleaseUse returns whom retiring a release locks out.
func (c *Client) ReleaseUse(ctx context.Context, image, release wire.UUID) (*wire.ReleaseUse, error) {
	var out wire.ReleaseUse
	return &out, c.call(ctx, request{method: http.MethodGet, path: releasePath(image, release) + "/use"}, nil, &out)
}

// ApproveRelease lets a proposed release into force, if its content still has the hash
// that was seen, and returns it as it is then.
func (c *Client) ApproveRelease(ctx context.Context, image, release wire.UUID, a wire.Approval) (*wire.Release, error) {
	return c.decide(ctx, releasePath(image, release)+"/approval", a)
}

// RejectRelease keeps a proposed release from force, and returns it as it is then.
func (c *Client) RejectRelease(ctx context.Context, image, release wire.UUID, r wire.Rejection) (*wire.Release, error) {
	return c.decide(ctx, releasePath(image, release)+"/rejection", r)
}

// RetireRelease takes an approved release out of force, and returns it as it is then.
func (c *Client) RetireRelease(ctx context.Context, image, release wire.UUID, r wire.Retirement) (*wire.Release, error) {
	return c.decide(ctx, releasePath(image, release)+"/retirement", r)
}

// RestoreRelease takes a rejection or a retirement back, and returns the release as it
// is then.
func (c *Client) RestoreRelease(ctx context.Context, image, release wire.UUID, r wire.Restoration) (*wire.Release, error) {
	return c.decide(ctx, releasePath(image, release)+"/restoration", r)
}

// VerifyRelease keeps that a release was recomputed, and returns it as it is then.
func (c *Client) VerifyRelease(ctx context.Context, image, release wire.UUID, v wire.Verification) (*wire.Release, error) {
	return c.decide(ctx, releasePath(image, release)+"/verification", v)
}

func (c *Client) decide(ctx context.Context, path string, in any) (*wire.Release, error) {
	var out wire.Release
	return &out, c.call(ctx, request{method: http.MethodPost, path: path}, in, &out)
}
