package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// InstanceFilter selects instances. The zero value selects all but deleted ones.
type InstanceFilter struct {
	Image   wire.UUID          // of this image; zero: of any
	State   wire.InstanceState // new, claimed or ready; empty: any
	Search  string             // part of the name
	Deleted bool               // those that were deleted in place of those that were not
}

func (f InstanceFilter) query() url.Values {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if !f.Image.IsZero() {
		query.Set("image", f.Image.String())
	}
	if f.State != "" {
		query.Set("state", string(f.State))
	}
	if f.Search != "" {
		query.Set("search", f.Search)
	}
	if f.Deleted {
		query.Set("deleted", "true")
	}
	return query
}

// Instances calls each for every instance that passes a filter, and stops at its first
// error.
func (c *Client) Instances(ctx context.Context, f InstanceFilter, each func(*wire.Instance) error) error {
	query := f.query()
	for {
		var page wire.InstanceList
		if err := c.call(ctx, request{method: http.MethodGet, path: wire.PathInstances, query: query}, nil, &page); err != nil {
			return err
		}
		for i := range page.Instances {
			if err := each(&page.Instances[i]); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Set("cursor", page.Next)
	}
}

func instancePath(id wire.UUID) string { return wire.PathInstances + "/" + id.String() }

// Instance returns an instance.
func (c *Client) Instance(ctx context.Context, id wire.UUID) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodGet, instancePath(id), nil)
}

// FindInstance finds an instance by its ID or its exact name, be it deleted or not.
func (c *Client) FindInstance(ctx context.Context, text string) (*wire.Instance, error) {
	if id, err := wire.ParseUUID(text); err == nil {
		return c.Instance(ctx, id)
	}
	if err := wire.CheckInstanceName(text); err != nil {
		return nil, err
	}
	for _, deleted := range []bool{false, true} {
		var found *wire.Instance
		if err := c.Instances(ctx, InstanceFilter{Search: text, Deleted: deleted}, func(i *wire.Instance) error {
			if i.Name == text {
				found = i
			}
			return nil
		}); err != nil || found != nil {
			return found, err
		}
	}
	return nil, fmt.Errorf("instance %q does not exist; \"snpguard instance list\" shows all instances", text)
}

// CreateInstance makes an instance of an image.
func (c *Client) CreateInstance(ctx context.Context, in wire.InstanceCreation) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodPost, wire.PathInstances, in)
}

// PatchInstance changes an instance and returns it as it is then.
func (c *Client) PatchInstance(ctx context.Context, id wire.UUID, p wire.InstancePatch) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodPatch, instancePath(id), p)
}

// ResetInstance makes an instance new again and returns it as it is then.
func (c *Client) ResetInstance(ctx context.Context, id wire.UUID) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodPost, instancePath(id)+"/reset", nil)
}

// AdoptInstance has a claim recognised and returns the instance as it is then.
func (c *Client) AdoptInstance(ctx context.Context, id wire.UUID, a wire.InstanceAdoption) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodPost, instancePath(id)+"/adopt", a)
}

// AllowRestore allows an instance one boot of an older generation and returns the
// instance as it is then.
func (c *Client) AllowRestore(ctx context.Context, id wire.UUID, a wire.RestoreAllowance) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodPost, instancePath(id)+"/allow-restore", a)
}

// DeleteInstance deletes an instance, which can be undone for a day.
func (c *Client) DeleteInstance(ctx context.Context, id wire.UUID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: instancePath(id)}, nil, nil)
}

// UndeleteInstance takes the deletion of an instance back and returns it as it is then.
func (c *Client) UndeleteInstance(ctx context.Context, id wire.UUID) (*wire.Instance, error) {
	return c.changeInstance(ctx, http.MethodPost, instancePath(id)+"/undelete", nil)
}

// Recovery writes the volume key of an instance, encrypted to the owner's recovery
// keys, to w: an age file.
func (c *Client) Recovery(ctx context.Context, id wire.UUID, w io.Writer) error {
	body, err := c.open(ctx, request{method: http.MethodGet, path: instancePath(id) + "/recovery", accept: "application/octet-stream"})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, io.LimitReader(body, wire.MaxRecovery))
	return err
}

func (c *Client) changeInstance(ctx context.Context, method, path string, in any) (*wire.Instance, error) {
	var out wire.Instance
	return &out, c.call(ctx, request{method: method, path: path}, in, &out)
}
