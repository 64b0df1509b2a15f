package registry

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// DeleteImage deletes an image with its releases and their artifacts. The record
// says who does it. The error wraps store.ErrNotFound.
func (r *Registry) DeleteImage(ctx context.Context, id wire.UUID, who audit.Record) error {
	image, err := r.Store.ImageByID(ctx, id)
	if err != nil {
		return err
	}
	who.Reason, who.ImageID, who.Details = ReasonImageDeleted, id, map[string]string{"name": image.Name}
	return r.delete(ctx, who, func(ctx context.Context) ([][32]byte, error) { return r.Store.DeleteImage(ctx, id) })
}

// DeleteRelease deletes a release of an image and its artifacts. The record says
// who does it. The error wraps store.ErrNotFound.
func (r *Registry) DeleteRelease(ctx context.Context, image, id wire.UUID, who audit.Record) error {
	if _, err := r.Release(ctx, image, id); err != nil {
		return err
	}
	who.Reason, who.ImageID, who.ReleaseID = ReasonReleaseDeleted, image, id
	return r.delete(ctx, who, func(ctx context.Context) ([][32]byte, error) { return r.Store.DeleteRelease(ctx, id) })
}

// delete deletes rows, and then the artifacts that nothing refers to any more.
// The deletion is done and on record when an artifact cannot be removed; the
// next sweep finds it.
func (r *Registry) delete(ctx context.Context, who audit.Record, rows func(ctx context.Context) ([][32]byte, error)) error {
	var free [][32]byte
	_, err := r.Store.Audited(ctx, func(ctx context.Context) (_ audit.Record, err error) {
		free, err = rows(ctx)
		return who, err
	})
	if err != nil {
		return err
	}
	if err := r.dropAll(ctx, free...); err != nil {
		r.Log.WarnContext(ctx, "artifacts were not removed", "request_id", who.RequestID, "error", err)
	}
	return nil
}
