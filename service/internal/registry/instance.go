package registry

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// CreateInstance makes an instance of an image that has instances. The error is a
// *RefusedError or a *store.InstanceModeError, or wraps store.ErrNotFound or
// store.ErrNameTaken.
func (r *Registry) CreateInstance(ctx context.Context, actor access.Actor, creation wire.InstanceCreation) (store.Instance, error) {
	permit, err := r.Gate.Begin(ctx, actor, access.CreateInstance)
	if err != nil {
		return store.Instance{}, err
	}
	defer permit.End()
	if err := wire.CheckInstanceName(creation.Name); err != nil {
		return store.Instance{}, refused("name %.80q: want 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last, and not a UUID", creation.Name)
	}
	id := wire.NewUUID()
	share, err := r.KEK.NewShare(id)
	if err != nil {
		return store.Instance{}, fmt.Errorf("create instance: %w", err)
	}
	var made store.Instance
	err = permit.Audited(ctx, func(ctx context.Context, record audit.Record) (_ audit.Record, err error) {
		record.ImageID, record.InstanceID, record.Details = creation.ImageID, id, map[string]string{"name": creation.Name}
		// A share sealed under a KEK that was rotated meanwhile would never open.
		if err := r.KEK.Check(ctx, r.Store); err != nil {
			return record, err
		}
		made, err = r.Store.CreateInstance(ctx, store.Instance{
			ID: id, Image: creation.ImageID, Name: creation.Name, ShareSealed: share, CreatedBy: permit.Party(),
		})
		return record, err
	})
	return made, err
}

// instanceChange is a change of an instance under way.
type instanceChange struct {
	permit   *access.Permit
	instance store.Instance
	change   change
}

// changeInstance lets the change of an instance begin, of one that is not deleted.
// permit.End gives its place back. The error is a *RefusedError or wraps store.ErrNotFound.
func (r *Registry) changeInstance(ctx context.Context, actor access.Actor, op access.Operation, id wire.UUID) (*instanceChange, error) {
	permit, err := r.Gate.Begin(ctx, actor, op)
	if err != nil {
		return nil, err
	}
	instance, err := r.Store.InstanceByID(ctx, id)
	if err == nil && !instance.DeletedAt.IsZero() && op != access.UndeleteInstance {
		err = refused("instance %q is deleted: take the deletion back first", instance.Name)
	}
	if err != nil {
		permit.End()
		return nil, err
	}
	return &instanceChange{permit: permit, instance: instance}, nil
}

// apply makes the change and its record, or neither.
func (c *instanceChange) apply(ctx context.Context) error {
	c.change.details["name"] = c.instance.Name
	return c.change.apply(ctx, c.permit, scope{image: c.instance.Image, instance: c.instance.ID})
}

// PatchInstance changes an instance. The error is a *RefusedError or wraps
// store.ErrNotFound or store.ErrChanged.
func (r *Registry) PatchInstance(ctx context.Context, actor access.Actor, id wire.UUID, patch wire.InstancePatch) error {
	c, err := r.changeInstance(ctx, actor, access.ChangeInstance, id)
	if err != nil {
		return err
	}
	defer c.permit.End()
	if patch.Enabled == nil {
		return refused("the request changes nothing")
	}
	c.change.add("enabled", strconv.FormatBool(*patch.Enabled), func(ctx context.Context) error {
		return r.Store.SetInstanceEnabled(ctx, id, *patch.Enabled)
	})
	return c.apply(ctx)
}

// ResetInstance makes an instance new again, under another share of its volume key. The
// error is a *RefusedError or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) ResetInstance(ctx context.Context, actor access.Actor, id wire.UUID) error {
	c, err := r.changeInstance(ctx, actor, access.ResetInstance, id)
	if err != nil {
		return err
	}
	defer c.permit.End()
	share, err := r.KEK.NewShare(id)
	if err != nil {
		return fmt.Errorf("reset instance: %w", err)
	}
	c.change.add("was", string(c.instance.State), func(ctx context.Context) error {
		if err := r.KEK.Check(ctx, r.Store); err != nil {
			return err
		}
		return r.Store.ResetInstance(ctx, id, share)
	})
	return c.apply(ctx)
}

// AdoptInstance recognises a claim by its receipt, which this service signed and has
// forgotten since it was restored from a backup. The error is a *RefusedError or wraps
// store.ErrNotFound or store.ErrChanged.
func (r *Registry) AdoptInstance(ctx context.Context, actor access.Actor, id wire.UUID, adoption wire.InstanceAdoption) error {
	c, err := r.changeInstance(ctx, actor, access.AdoptInstance, id)
	if err != nil {
		return err
	}
	defer c.permit.End()
	if err := adoption.Validate(); err != nil {
		return refused("%v", err)
	}
	if c.instance.State != wire.StateNew {
		return refused("instance %q is %s, so there is nothing to adopt: only a new one can be adopted", c.instance.Name, c.instance.State)
	}
	sealed := [32]byte(adoption.Sealed)
	public, ok := r.Identity.Public().(ed25519.PublicKey)
	if !ok || !ed25519.Verify(public, wire.ReceiptTranscript(c.instance.Image, id, sealed), adoption.Receipt) {
		return refused("receipt: it was not signed by this service for instance %q", c.instance.Name)
	}
	c.change.add("sealed_sha256", hex.EncodeToString(sealed[:]), func(ctx context.Context) error {
		err := r.Store.AdoptInstance(ctx, id, sealed)
		if errors.Is(err, store.ErrDeleted) {
			return refused("the receipt is of a disk that an instance had before it was reset or deleted: it cannot come back")
		}
		return err
	})
	return c.apply(ctx)
}

// AllowRestore allows an instance one boot of an older generation. The error is a
// *RefusedError or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) AllowRestore(ctx context.Context, actor access.Actor, id wire.UUID, allowance wire.RestoreAllowance) error {
	c, err := r.changeInstance(ctx, actor, access.AllowRestore, id)
	if err != nil {
		return err
	}
	defer c.permit.End()
	switch g := allowance.Generation; {
	case c.instance.State != wire.StateReady:
		return refused("instance %q is %s: only a ready one has an older state to restore", c.instance.Name, c.instance.State)
	case g == 0 || g >= c.instance.Generation:
		return refused("generation %d: want one that is older than the current %d, and at least 1", g, c.instance.Generation)
	}
	c.change.add("generation", strconv.FormatUint(allowance.Generation, 10), func(ctx context.Context) error {
		return r.Store.AllowRestore(ctx, id, allowance.Generation)
	})
	c.change.details["current_generation"] = strconv.FormatUint(c.instance.Generation, 10)
	return c.apply(ctx)
}

// DeleteInstance deletes an instance, which can be undone until its share of the volume
// key is destroyed. The error is a *RefusedError or wraps store.ErrNotFound or
// store.ErrChanged.
func (r *Registry) DeleteInstance(ctx context.Context, actor access.Actor, id wire.UUID) error {
	c, err := r.changeInstance(ctx, actor, access.DeleteInstance, id)
	if err != nil {
		return err
	}
	defer c.permit.End()
	c.change.add("was", string(c.instance.State), func(ctx context.Context) error { return r.Store.DeleteInstance(ctx, id) })
	return c.apply(ctx)
}

// UndeleteInstance takes the deletion of an instance back. The error is a *RefusedError
// or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) UndeleteInstance(ctx context.Context, actor access.Actor, id wire.UUID) error {
	c, err := r.changeInstance(ctx, actor, access.UndeleteInstance, id)
	if err != nil {
		return err
	}
	defer c.permit.End()
	if c.instance.DeletedAt.IsZero() {
		return refused("instance %q is not deleted", c.instance.Name)
	}
	c.change.add("state", string(c.instance.State), func(ctx context.Context) error { return r.Store.UndeleteInstance(ctx, id) })
	return c.apply(ctx)
}

// Recovery returns the volume key of an instance as its guest encrypted it to the
// owner's recovery keys, and leaves a record. The error is a *RefusedError or wraps
// store.ErrNotFound.
func (r *Registry) Recovery(ctx context.Context, actor access.Actor, id wire.UUID) ([]byte, error) {
	permit, err := r.Gate.Begin(ctx, actor, access.ReadRecovery)
	if err != nil {
		return nil, err
	}
	defer permit.End()
	var recovery []byte
	err = permit.Audited(ctx, func(ctx context.Context, record audit.Record) (audit.Record, error) {
		instance, err := r.Store.InstanceByID(ctx, id)
		if err != nil {
			return record, err
		}
		if recovery = instance.Recovery; len(recovery) == 0 {
			return record, refused("the service has no recovery of instance %q: its image has no recovery keys, or its disk is not under its own key yet", instance.Name)
		}
		record.ImageID, record.InstanceID, record.Details = instance.Image, id, map[string]string{"name": instance.Name}
		return record, nil
	})
	return recovery, err
}
