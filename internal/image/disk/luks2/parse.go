package luks2

import (
	"errors"
	"fmt"
	"io"
)

// Parse reads the header at the start of r, at most Size bytes of it. Like
// cryptsetup it takes the copy that is whole, or the younger one of two. The
// error is ErrNotLUKS when there is neither, ErrHeader when what is there is
// LUKS but damaged, of version 1 or of a shape that this package does not know.
// Keyslots, tokens and digests are not looked into.
func Parse(r io.ReaderAt) (*Header, error) {
	b := make([]byte, Size)
	if _, err := r.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read LUKS header: %w", err)
	}
	var best *Header
	failure := ErrNotLUKS
	for offset := 0; offset < Size; offset += CopySize {
		h, err := decodeCopy(b[offset:][:CopySize], offset)
		switch {
		case err == nil && (best == nil || h.Sequence > best.Sequence):
			best = h
		case err != nil && errors.Is(failure, ErrNotLUKS):
			failure = err
		}
	}
	if best == nil {
		return nil, failure
	}
	return best, nil
}
