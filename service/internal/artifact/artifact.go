package artifact

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such artifact")
	ErrTooLarge = errors.New("artifact is too large")
	ErrCorrupt  = errors.New("artifact is damaged")
)

// Info describes an artifact.
type Info struct {
	store.ArtifactRef
	StoredAt time.Time
}

// Store keeps artifacts. Its methods are safe for concurrent use, by processes
// that share it too.
type Store interface {
	// Create begins an artifact of at most limit bytes.
	Create(ctx context.Context, limit int64) (*Writer, error)

	// Open returns the content. The last Read gives an error that wraps
	// ErrCorrupt in place of io.EOF when it was not that. The error wraps
	// ErrNotFound, or ErrCorrupt when the size is wrong.
	Open(ctx context.Context, ref store.ArtifactRef) (io.ReadCloser, error)

	// Stat describes an artifact. The error wraps ErrNotFound.
	Stat(ctx context.Context, hash [32]byte) (Info, error)

	// Delete deletes an artifact. It is no error when there is none.
	Delete(ctx context.Context, hash [32]byte) error

	// Walk calls visit for each artifact, and ends when that fails. Artifacts
	// that come or go meanwhile are visited or not.
	Walk(ctx context.Context, visit func(Info) error) error

	// Sweep deletes what uploads left that were cut off, but no upload that is
	// under way. It returns how many there were.
	Sweep(ctx context.Context) (int, error)
}

// Present returns what the store asks whether an artifact is there.
func Present(artifacts Store) store.Present {
	return func(ctx context.Context, ref store.ArtifactRef) (bool, error) {
		info, err := artifacts.Stat(ctx, ref.SHA256)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return err == nil && info.Size == ref.Size, err
	}
}
