package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Machines calls each for every guest of an image that has been seen, in the order of
// their IDs, and stops at its first error.
func (c *Client) Machines(ctx context.Context, image wire.UUID, each func(*wire.Machine) error) error {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		var page wire.MachineList
		if err := c.call(ctx, request{method: http.MethodGet, path: imagePath(image) + "/machines", query: query}, nil, &page); err != nil {
			return err
		}
		for i := range page.Machines {
			if err := each(&page.Machines[i]); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Set("cursor", page.Next)
	}
}

// Fleet counts the guests of an image.
func (c *Client) Fleet(ctx context.Context, image wire.UUID) (*wire.Fleet, error) {
	var fleet wire.Fleet
	return &fleet, c.call(ctx, request{method: http.MethodGet, path: imagePath(image) + "/fleet"}, nil, &fleet)
}
