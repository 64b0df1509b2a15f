package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
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

// apply makes the whole change and its record, or nothing.
func (r *Registry) apply(ctx context.Context, c change, who store.Record) error {
	if len(c.do) == 0 {
		return refused("it changes nothing")
	}
	who.Details = c.details
	_, err := r.Store.Audited(ctx, func(ctx context.Context) (store.Record, error) {
		for _, do := range c.do {
			if err := do(ctx); err != nil {
				return store.Record{}, err
			}
		}
		return who, nil
	})
	return err
}

// PatchImage changes an image. The record says who does it. The error is a
// *RefusedError or wraps store.ErrNotFound or store.ErrNameTaken.
func (r *Registry) PatchImage(ctx context.Context, id wire.UUID, patch wire.ImagePatch, who store.Record) error {
	var c change
	if patch.Name != nil {
		if err := CheckName(*patch.Name); err != nil {
			return err
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
			return err
		}
		text, err := json.Marshal(*patch.Labels)
		if err != nil {
			return fmt.Errorf("encode labels: %w", err)
		}
		c.add("labels", string(text), func(ctx context.Context) error { return r.Store.SetImageLabels(ctx, id, *patch.Labels) })
	}
	who.Reason, who.ImageID = ReasonImageChanged, id
	return r.apply(ctx, c, who)
}

// PatchRelease changes a release of an image. The record says who does it. The
// error is a *RefusedError or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) PatchRelease(ctx context.Context, image, id wire.UUID, patch wire.ReleasePatch, who store.Record) error {
	if _, err := r.Release(ctx, image, id); err != nil {
		return err
	}
	var c change
	if patch.Enabled != nil {
		c.add("enabled", strconv.FormatBool(*patch.Enabled), func(ctx context.Context) error {
			return r.Store.SetReleaseEnabled(ctx, id, *patch.Enabled)
		})
	}
	if len(patch.Policy) > 0 && string(patch.Policy) != "null" {
		_, policy, err := parsePolicy(patch.Policy)
		if err != nil {
			return err
		}
		if patch.Revision < 1 {
			return refused("revision: name the revision of the policy that is replaced")
		}
		sum := sha256.Sum256(policy)
		c.add("policy_sha256", hex.EncodeToString(sum[:]), func(ctx context.Context) error {
			_, err := r.Store.UpdateReleasePolicy(ctx, id, policy, patch.Revision)
			return err
		})
		c.details["policy_revision"] = strconv.FormatInt(patch.Revision+1, 10)
	}
	who.Reason, who.ImageID, who.ReleaseID = ReasonReleaseChanged, image, id
	return r.apply(ctx, c, who)
}

// Release returns a release of an image. The error wraps store.ErrNotFound.
func (r *Registry) Release(ctx context.Context, image, id wire.UUID) (store.Release, error) {
	release, err := r.Store.ReleaseByID(ctx, id)
	if err != nil {
		return store.Release{}, err
	}
	if release.ImageID != image {
		return store.Release{}, fmt.Errorf("release %s is of another image: %w", id, store.ErrNotFound)
	}
	return release, nil
}
