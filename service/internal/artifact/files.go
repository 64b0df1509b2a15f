package artifact

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Files keeps each artifact in a file ab/cdef..., named by its hash, below a
// directory. Uploads are in the directory incoming until they are whole.
type Files struct{ dir string }

const incoming = "incoming"

// OpenFiles makes the directory where it is missing.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(filepath.Join(dir, incoming), 0o700); err != nil {
		return nil, fmt.Errorf("open artifacts: %w", err)
	}
	return &Files{dir}, nil
}

func (f *Files) path(hash [32]byte) string {
	name := hex.EncodeToString(hash[:])
	return filepath.Join(f.dir, name[:2], name[2:])
}

// Open implements Store.
func (f *Files) Open(_ context.Context, ref store.ArtifactRef) (io.ReadCloser, error) {
	// Before opening, which would block on a FIFO.
	info, err := f.stat(ref.SHA256)
	if err != nil {
		return nil, err
	}
	if info.Size != ref.Size {
		return nil, fmt.Errorf("%w: %x has %d bytes, want %d", ErrCorrupt, ref.SHA256, info.Size, ref.Size)
	}
	file, err := os.Open(f.path(ref.SHA256))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open artifact %x: %w", ref.SHA256, err)
	}
	return newReader(file, ref), nil
}

// Stat implements Store.
func (f *Files) Stat(_ context.Context, hash [32]byte) (Info, error) { return f.stat(hash) }

func (f *Files) stat(hash [32]byte) (Info, error) {
	info, err := os.Lstat(f.path(hash))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: it is %s", ErrCorrupt, info.Mode())
	}
	if err != nil {
		return Info{}, fmt.Errorf("artifact %x: %w", hash, err)
	}
	return Info{store.ArtifactRef{SHA256: hash, Size: info.Size()}, info.ModTime()}, nil
}

// Delete implements Store.
func (f *Files) Delete(_ context.Context, hash [32]byte) error {
	path := f.path(hash)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("delete artifact %x: %w", hash, err)
	}
	return nil
}

// Walk implements Store. Files with other names are left out.
func (f *Files) Walk(ctx context.Context, visit func(Info) error) error {
	return filepath.WalkDir(f.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		name := filepath.Base(filepath.Dir(path)) + filepath.Base(path)
		raw, err := hex.DecodeString(name)
		if err != nil || len(raw) != 32 || f.path([32]byte(raw)) != path {
			return nil //nolint:nilerr // not the name of an artifact
		}
		info, err := f.stat([32]byte(raw))
		if errors.Is(err, ErrNotFound) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		return visit(info)
	})
}

// syncDir makes new and deleted names durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
