package registry

import (
	"context"
	"regexp"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// channelName is FAMILY/NAME. No name of an image has a slash.
var channelName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}$`)

func checkChannelName(name string) error {
	if !channelName.MatchString(name) {
		return refused("channel %.130q: want FAMILY/NAME such as debian-13/stable, each of 1 to 63 lower-case letters, digits and . _ -", name)
	}
	return nil
}

// SetChannel makes a channel, or moves one that still has the previous target. A
// release that it names has to be approved. The error is a *RefusedError or wraps
// store.ErrNotFound or store.ErrChanged.
func (r *Registry) SetChannel(ctx context.Context, actor access.Actor, name string, change wire.ChannelChange) error {
	permit, err := r.Gate.Begin(ctx, actor, access.SetChannel)
	if err != nil {
		return err
	}
	defer permit.End()
	if err := checkChannelName(name); err != nil {
		return err
	}
	target := targetOf(change.Target)
	if !target.Release.IsZero() {
		release, err := r.Release(ctx, target.Image, target.Release)
		if err != nil {
			return err
		}
		if release.State != wire.StateApproved {
			return refused("the release is %s: a channel names an approved one", release.State)
		}
	}
	var previous *store.Target
	details := map[string]string{"channel": name}
	if change.Previous != nil {
		p := targetOf(*change.Previous)
		previous, details["previous_image"] = &p, p.Image.String()
		if !p.Release.IsZero() {
			details["previous_release"] = p.Release.String()
		}
	}
	return permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		record.ImageID, record.ReleaseID, record.Details = target.Image, target.Release, details
		return record, r.Store.SetChannel(ctx, store.Channel{Name: name, Target: target, ChangedBy: permit.Party()}, previous)
	})
}

func targetOf(t wire.ChannelTarget) store.Target {
	out := store.Target{Image: t.ImageID}
	if t.ReleaseID != nil {
		out.Release = *t.ReleaseID
	}
	return out
}

// DeleteChannel deletes a channel. The error wraps store.ErrNotFound.
func (r *Registry) DeleteChannel(ctx context.Context, actor access.Actor, name string) error {
	permit, err := r.Gate.Begin(ctx, actor, access.DeleteChannel)
	if err != nil {
		return err
	}
	defer permit.End()
	channel, err := r.Store.Channel(ctx, name)
	if err != nil {
		return err
	}
	return permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		record.ImageID, record.ReleaseID, record.Details = channel.Image, channel.Release, map[string]string{"channel": name}
		return record, r.Store.DeleteChannel(ctx, name)
	})
}

// InForce returns the release that a channel stands for now; the zero value when the
// one that it names is not approved, or none of its image is.
func (r *Registry) InForce(ctx context.Context, c store.Channel) (wire.UUID, error) {
	releases, err := r.Store.ListReleases(ctx, c.Image)
	if err != nil {
		return wire.UUID{}, err
	}
	for _, release := range releases {
		if release.State == wire.StateApproved && (c.Release.IsZero() || c.Release == release.ID) {
			return release.ID, nil
		}
	}
	return wire.UUID{}, nil
}
