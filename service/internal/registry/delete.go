package registry

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// DeleteImage deletes an image with its releases and their artifacts. The error wraps
// store.ErrNotFound.
func (r *Registry) DeleteImage(ctx context.Context, actor access.Actor, id wire.UUID) error {
	permit, err := r.Gate.Begin(ctx, actor, access.DeleteImage)
	if err != nil {
		return err
	}
	defer permit.End()
	image, err := r.Store.ImageByID(ctx, id)
	if err != nil {
		return err
	}
	return r.delete(ctx, permit, func(ctx context.Context, record *audit.Record) ([][32]byte, error) {
		record.ImageID, record.Details = id, map[string]string{"name": image.Name}
		return r.Store.DeleteImage(ctx, id)
	})
}

// DeleteRelease deletes a release of an image and its artifacts. The error wraps
// store.ErrNotFound.
func (r *Registry) DeleteRelease(ctx context.Context, actor access.Actor, image, id wire.UUID) error {
	permit, err := r.Gate.Begin(ctx, actor, access.DeleteRelease)
	if err != nil {
		return err
	}
	defer permit.End()
	if _, err := r.Release(ctx, image, id); err != nil {
		return err
	}
	return r.delete(ctx, permit, func(ctx context.Context, record *audit.Record) ([][32]byte, error) {
		record.ImageID, record.ReleaseID = image, id
		return r.Store.DeleteRelease(ctx, id)
	})
}

// delete deletes rows, and then the artifacts that nothing refers to any more.
// The deletion is done and on record when an artifact cannot be removed; the
// next sweep finds it.
func (r *Registry) delete(ctx context.Context, permit *access.Permit, rows func(ctx context.Context, record *audit.Record) ([][32]byte, error)) error {
	var free [][32]byte
	err := permit.Audited(ctx, func(ctx context.Context, record audit.Record) (_ audit.Record, err error) {
		free, err = rows(ctx, &record)
		return record, err
	})
	if err != nil {
		return err
	}
	if err := r.dropAll(ctx, free...); err != nil {
		r.Log.WarnContext(ctx, "artifacts were not removed", "request_id", permit.Record().RequestID, "error", err)
	}
	return nil
}
