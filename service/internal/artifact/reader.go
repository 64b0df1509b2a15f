package artifact

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// reader checks what it reads.
type reader struct {
	io.ReadCloser
	ref  store.ArtifactRef
	hash hash.Hash
	size int64
}

func newReader(source io.ReadCloser, ref store.ArtifactRef) io.ReadCloser {
	return &reader{ReadCloser: source, ref: ref, hash: sha256.New()}
}

// Read implements io.Reader. Instead of io.EOF it returns an error that wraps
// ErrCorrupt when something else than the artifact was read.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.hash.Write(p[:n])
	if r.size += int64(n); r.size > r.ref.Size {
		return 0, fmt.Errorf("%w: %x is longer than %d bytes", ErrCorrupt, r.ref.SHA256, r.ref.Size)
	}
	if errors.Is(err, io.EOF) && [32]byte(r.hash.Sum(nil)) != r.ref.SHA256 {
		err = fmt.Errorf("%w: %x has other content", ErrCorrupt, r.ref.SHA256)
	}
	return n, err
}
