package artifact

import (
	"context"
	"errors"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Verify reads an artifact as a whole. The error wraps ErrNotFound or ErrCorrupt.
func Verify(ctx context.Context, artifacts Store, ref store.ArtifactRef) error {
	r, err := artifacts.Open(ctx, ref)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}
