package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// change is a change under way: methods of the store to call in a transaction,
// and what the audit record says of them.
type change struct {
	do      []func(ctx context.Context) error
	details map[string]string
}

func (c *change) add(detail, text string, do func(ctx context.Context) error) {
	if c.details == nil {
		c.details = make(map[string]string)
	}
	c.details[detail] = text
	c.do = append(c.do, do)
}

// scope is what a change is of. Zeros are none.
type scope struct{ image, release, instance wire.UUID }

// apply makes the whole change and its record, or nothing.
func (c *change) apply(ctx context.Context, permit *access.Permit, of scope) error {
	if len(c.do) == 0 {
		return refused("the request changes nothing")
	}
	return permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		record.ImageID, record.ReleaseID, record.InstanceID, record.Details = of.image, of.release, of.instance, c.details
		for _, do := range c.do {
			if err := do(ctx); err != nil {
				return record, err
			}
		}
		return record, nil
	})
}

// PatchImage changes an image. The error is a *RefusedError or wraps store.ErrNotFound,
// store.ErrChanged or store.ErrNameTaken.
func (r *Registry) PatchImage(ctx context.Context, actor access.Actor, id wire.UUID, patch wire.ImagePatch) error {
	permit, err := r.Gate.Begin(ctx, actor, access.ChangeImage)
	if err != nil {
		return err
	}
	defer permit.End()
	c, err := r.imageChange(id, patch)
	if err != nil {
		return err
	}
	return c.apply(ctx, permit, scope{image: id})
}

// imageChange returns what a patch of an image asks for.
func (r *Registry) imageChange(id wire.UUID, patch wire.ImagePatch) (*change, error) {
	var c change
	if patch.Name != nil {
		if err := access.CheckName(*patch.Name); err != nil {
			return nil, err
		}
		c.add("name", *patch.Name, func(ctx context.Context) error { return r.Store.RenameImage(ctx, id, *patch.Name) })
	}
	if patch.Enabled != nil {
		c.add("enabled", strconv.FormatBool(*patch.Enabled), func(ctx context.Context) error {
			return r.Store.SetImageEnabled(ctx, id, *patch.Enabled)
		})
	}
	if patch.Labels != nil {
		if err := checkLabels(*patch.Labels); err != nil {
			return nil, err
		}
		text, err := json.Marshal(*patch.Labels)
		if err != nil {
			return nil, fmt.Errorf("encode labels: %w", err)
		}
		c.add("labels", string(text), func(ctx context.Context) error { return r.Store.SetImageLabels(ctx, id, *patch.Labels) })
	}
	if err := r.addBounds(&c, id, patch); err != nil {
		return nil, err
	}
	if !noPolicy(patch.Policy) {
		_, policy, err := parsePolicy(patch.Policy)
		if err != nil {
			return nil, err
		}
		if err := c.addPolicy(policy, patch.Revision, func(ctx context.Context) error {
			_, err := r.Store.UpdateImagePolicy(ctx, id, policy, patch.Revision)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// addBounds adds what a patch says of launches, releases and instances.
func (r *Registry) addBounds(c *change, id wire.UUID, patch wire.ImagePatch) error {
	if patch.LaunchLimit != nil {
		limit := store.LaunchLimit{Max: patch.LaunchLimit.Max, Period: time.Duration(patch.LaunchLimit.Period) * time.Second}
		if err := checkLaunchLimit(*patch.LaunchLimit); err != nil {
			return err
		}
		c.add("launch_limit", fmt.Sprintf("%d in %s", limit.Max, limit.Period), func(ctx context.Context) error {
			return r.Store.SetLaunchLimit(ctx, id, limit)
		})
	}
	if patch.KeepReleases != nil {
		keep := *patch.KeepReleases
		if keep < 0 || keep > store.MaxReleases {
			return refused("keep_releases: want 0 to %d, where 0 keeps all", store.MaxReleases)
		}
		c.add("keep_releases", strconv.FormatInt(keep, 10), func(ctx context.Context) error { return r.Store.SetKeepReleases(ctx, id, keep) })
	}
	if patch.Instances != nil {
		settings, err := instanceSettings(*patch.Instances)
		if err != nil {
			return err
		}
		c.add("instances", settingsText(settings), func(ctx context.Context) error { return r.Store.SetInstanceSettings(ctx, id, settings) })
	}
	return nil
}

// maxPeriod is the longest period of a launch limit in seconds.
const maxPeriod = 366 * 24 * 60 * 60

func checkLaunchLimit(l wire.LaunchLimit) error {
	if l != (wire.LaunchLimit{}) && (l.Max < 1 || l.Period < 1 || l.Period > maxPeriod) {
		return refused("launch_limit: %d launches in %d seconds: want at least 1 launch in 1 to %d seconds, or 0 and 0 for no limit", l.Max, l.Period, maxPeriod)
	}
	return nil
}

// addPolicy adds the change of a policy from a revision.
func (c *change) addPolicy(policy []byte, revision int64, do func(ctx context.Context) error) error {
	if revision < 1 {
		return refused("revision: name the revision of the policy that is replaced")
	}
	sum := sha256.Sum256(policy)
	c.add("policy_sha256", hex.EncodeToString(sum[:]), do)
	c.details["policy_revision"] = strconv.FormatInt(revision+1, 10)
	return nil
}

// PatchRelease changes a release of an image. The error is a *RefusedError or wraps
// store.ErrNotFound or store.ErrChanged.
func (r *Registry) PatchRelease(ctx context.Context, actor access.Actor, image, id wire.UUID, patch wire.ReleasePatch) error {
	permit, err := r.Gate.Begin(ctx, actor, access.ChangeRelease)
	if err != nil {
		return err
	}
	defer permit.End()
	if _, err := r.Release(ctx, image, id); err != nil {
		return err
	}
	var c change
	if !noPolicy(patch.Policy) {
		_, policy, err := parseTightening(patch.Policy)
		if err != nil {
			return err
		}
		if err := c.addPolicy(policy, patch.Revision, func(ctx context.Context) error {
			_, err := r.Store.UpdateReleasePolicy(ctx, id, policy, patch.Revision)
			return err
		}); err != nil {
			return err
		}
	}
	return c.apply(ctx, permit, scope{image: image, release: id})
}

// Release returns a release of an image. The error wraps store.ErrNotFound.
func (r *Registry) Release(ctx context.Context, image, id wire.UUID) (store.Release, error) {
	release, err := r.Store.ReleaseByID(ctx, id)
	if err != nil {
		return store.Release{}, err
	}
	if release.ImageID != image {
		return store.Release{}, fmt.Errorf("release %s belongs to another image: %w", id, store.ErrNotFound)
	}
	return release, nil
}
