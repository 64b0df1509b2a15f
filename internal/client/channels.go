package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// IsChannel reports whether text names a channel: no name of an image has a slash.
func IsChannel(text string) bool { return strings.Contains(text, "/") }

// channelPath returns the path of a channel, FAMILY/NAME.
func channelPath(name string) (string, error) {
	family, rest, ok := strings.Cut(name, "/")
	if !ok || family == "" || rest == "" || strings.Contains(rest, "/") {
		return "", fmt.Errorf("channel %q: want FAMILY/NAME such as debian-13/stable", name)
	}
	return wire.PathChannels + "/" + url.PathEscape(family) + "/" + url.PathEscape(rest), nil
}

// Channels returns all channels, by name.
func (c *Client) Channels(ctx context.Context) ([]wire.Channel, error) {
	var list wire.ChannelList
	err := c.call(ctx, request{method: http.MethodGet, path: wire.PathChannels}, nil, &list)
	return list.Channels, err
}

// Channel returns a channel.
func (c *Client) Channel(ctx context.Context, name string) (*wire.Channel, error) {
	path, err := channelPath(name)
	if err != nil {
		return nil, err
	}
	var channel wire.Channel
	return &channel, c.call(ctx, request{method: http.MethodGet, path: path}, nil, &channel)
}

// SetChannel makes or moves a channel and returns it as it is then.
func (c *Client) SetChannel(ctx context.Context, name string, change wire.ChannelChange) (*wire.Channel, error) {
	path, err := channelPath(name)
	if err != nil {
		return nil, err
	}
	var channel wire.Channel
	return &channel, c.call(ctx, request{method: http.MethodPut, path: path}, change, &channel)
}

// DeleteChannel deletes a channel.
func (c *Client) DeleteChannel(ctx context.Context, name string) error {
	path, err := channelPath(name)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: http.MethodDelete, path: path}, nil, nil)
}

// Found is an image as somebody named it.
type Found struct {
	*wire.Image
	Channel *wire.Channel // that named it; nil: a name or an ID did
}

// FindImage finds an image by its ID, its exact name or a channel.
func (c *Client) FindImage(ctx context.Context, text string) (*Found, error) {
	if IsChannel(text) {
		return c.follow(ctx, text)
	}
	if id, err := wire.ParseUUID(text); err == nil {
		image, err := c.Image(ctx, id)
		return &Found{Image: image}, err
	}
	images, err := c.Images(ctx, ImageFilter{Name: text})
	if err != nil {
		return nil, err
	}
	for _, image := range images {
		if image.Name == text {
			whole, err := c.Image(ctx, image.ID)
			return &Found{Image: whole}, err
		}
	}
	return nil, fmt.Errorf("image %q does not exist; \"snpguard image list\" shows all images", text)
}

func (c *Client) follow(ctx context.Context, name string) (*Found, error) {
	channel, err := c.Channel(ctx, name)
	if problem := (*wire.Problem)(nil); errors.As(err, &problem) && problem.Code == wire.CodeNotFound {
		return nil, fmt.Errorf("channel %q does not exist; \"snpguard channel list\" shows all channels", name)
	}
	if err != nil {
		return nil, err
	}
	image, err := c.Image(ctx, channel.ImageID)
	return &Found{image, channel}, err
}

// Release returns the release that is meant when none is named: that of the channel,
// or the newest that is approved.
func (f *Found) Release() (*wire.Release, error) {
	for i, r := range f.Releases {
		of := f.Channel == nil || f.Channel.ReleaseID == nil || *f.Channel.ReleaseID == r.ID
		if r.State == wire.StateApproved && of {
			return &f.Releases[i], nil
		}
	}
	if f.Channel != nil && f.Channel.ReleaseID != nil {
		return nil, fmt.Errorf("channel %q names release %s, which is not approved: move the channel with \"snpguard channel set\"", f.Channel.Name, f.Channel.ReleaseID)
	}
	return nil, fmt.Errorf("image %s has no approved release; \"snpguard release list\" shows all releases", f.ID)
}
