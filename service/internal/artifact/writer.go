package artifact

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// sink is where an artifact is written before it has its name.
type sink interface {
	write(p []byte) error
	commit(ref store.ArtifactRef) error
	abort() error // and nothing is left
}

// Writer writes an artifact. It is used by one goroutine and ends with Commit or
// Abort; Abort after Commit does nothing, so it can be deferred.
type Writer struct {
	sink  sink
	hash  hash.Hash
	size  int64
	limit int64
	err   error // set for good
}

var errEnded = errors.New("artifact was committed or aborted")

func newWriter(s sink, limit int64) *Writer {
	return &Writer{sink: s, hash: sha256.New(), limit: limit}
}

// Write implements io.Writer. The error wraps ErrTooLarge; after an error there
// is only Abort.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.limit-w.size {
		w.err = fmt.Errorf("%w: more than %s", ErrTooLarge, size.Text(w.limit))
		return 0, w.err
	}
	if err := w.sink.write(p); err != nil {
		w.err = fmt.Errorf("write artifact: %w", err)
		return 0, w.err
	}
	w.hash.Write(p)
	w.size += int64(len(p))
	return len(p), nil
}

// Commit makes the artifact durable under its name. When it fails, nothing is
// left.
func (w *Writer) Commit() (store.ArtifactRef, error) {
	if w.err != nil {
		return store.ArtifactRef{}, errors.Join(w.err, w.Abort())
	}
	ref := store.ArtifactRef{SHA256: [32]byte(w.hash.Sum(nil)), Size: w.size}
	if err := w.sink.commit(ref); err != nil {
		w.err = fmt.Errorf("commit artifact: %w", err)
		return store.ArtifactRef{}, errors.Join(w.err, w.Abort())
	}
	w.sink, w.err = nil, errEnded
	return ref, nil
}

// Abort forgets what was written.
func (w *Writer) Abort() error {
	if w.sink == nil {
		return nil
	}
	err := w.sink.abort()
	if w.sink = nil; w.err == nil {
		w.err = errEnded
	}
	if err != nil {
		return fmt.Errorf("abort artifact: %w", err)
	}
	return nil
}
