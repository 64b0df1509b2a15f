package image

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// find returns the image that matches, with its releases.
func (c *Config) find(ctx context.Context) (*client.Found, error) {
	service, _, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if client.IsChannel(c.Name) {
		return service.FindImage(ctx, c.Name)
	}
	filter := client.ImageFilter{Name: c.Name}
	for key, value := range c.Labels {
		filter.Labels = append(filter.Labels, key+"="+value)
	}
	images, err := service.Images(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	images = slices.DeleteFunc(images, func(i wire.Image) bool {
		return c.Name != "" && i.Name != c.Name || c.ID != "" && i.ID.String() != strings.ToLower(c.ID)
	})
	chosen, err := c.choose(images)
	if err != nil {
		return nil, err
	}
	image, err := service.Image(ctx, chosen.ID)
	return &client.Found{Image: image}, err
}

func (c *Config) choose(images []wire.Image) (*wire.Image, error) {
	switch {
	case len(images) == 0:
		return nil, fmt.Errorf("no image matches; \"snpguard image list\" shows all images")
	case len(images) > 1 && !c.MostRecent:
		return nil, option.Errorf("most_recent", "%d images match: narrow the selection, or take the newest with %s = true", len(images), option.Name("most_recent"))
	}
	newest := slices.MaxFunc(images, func(a, b wire.Image) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return &newest, nil
}

func output(i *client.Found) *DatasourceOutput {
	out := &DatasourceOutput{
		ID: i.ID.String(), Name: i.Name, Labels: i.Labels, Enabled: i.Enabled, Simulated: i.Simulated,
		CreatedAt: i.CreatedAt.UTC().Format(time.RFC3339), IDKeyDigest: i.IDKeyDigest, AuthorKeyDigest: i.AuthorKeyDigest,
	}
	if release, err := i.Release(); err == nil { // none has no ID
		out.ReleaseID = release.ID.String()
	}
	for _, r := range i.Releases {
		release := Release{
			ID: r.ID.String(), State: string(r.State), CreatedAt: r.CreatedAt.UTC().Format(time.RFC3339),
			Cmdline: r.Cmdline, GuestPolicy: r.GuestPolicy, GuestSVN: int(r.GuestSVN),
		}
		for _, v := range r.Variants {
			release.Variants = append(release.Variants, Variant{v.VCPUs, v.VCPUType, v.Measurement})
		}
		out.Releases = append(out.Releases, release)
	}
	return out
}
