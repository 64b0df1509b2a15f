package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// upload is a file in incoming. The lock on it tells Sweep, of any process, that
// somebody is writing; it ends with the process.
type upload struct {
	files *Files
	ctx   context.Context // of Create
	file  *os.File
}

// Create implements Store. Writes fail when ctx has ended.
func (f *Files) Create(ctx context.Context, limit int64) (*Writer, error) {
	for {
		file, err := os.CreateTemp(filepath.Join(f.dir, incoming), "upload-*") // mode 0600
		if err != nil {
			return nil, fmt.Errorf("create artifact: %w", err)
		}
		if mine(file) {
			return newWriter(&upload{f, ctx, file}, limit), nil
		}
		// Sweep took it for a leftover just before it was locked.
		file.Close()
	}
}

// mine locks a file, and reports whether it did and the file is still there.
func mine(file *os.File) bool {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false
	}
	here, err := file.Stat()
	there, statErr := os.Lstat(file.Name())
	return err == nil && statErr == nil && os.SameFile(here, there)
}

func (u *upload) write(p []byte) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	_, err := u.file.Write(p)
	return err
}

// commit puts the file in its place. One of the same content that is there is
// replaced, whole as it is; whoever reads it goes on reading.
func (u *upload) commit(ref store.ArtifactRef) error {
	if err := errors.Join(u.ctx.Err(), u.file.Sync()); err != nil {
		return err
	}
	path := u.files.path(ref.SHA256)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(u.file.Name(), path); err != nil {
		return err
	}
	defer u.file.Close()
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(u.files.dir))
}

func (u *upload) abort() error {
	defer u.file.Close()
	if err := os.Remove(u.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep implements Store.
func (f *Files) Sweep(ctx context.Context) (int, error) {
	dir := filepath.Join(f.dir, incoming)
	left, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("sweep artifacts: %w", err)
	}
	swept := 0
	for _, entry := range left {
		gone, err := sweep(filepath.Join(dir, entry.Name()))
		if err := errors.Join(err, ctx.Err()); err != nil {
			return swept, fmt.Errorf("sweep artifacts: %w", err)
		}
		if gone {
			swept++
		}
	}
	return swept, nil
}

// sweep deletes a file unless somebody has locked it.
func sweep(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if !mine(file) {
		return false, nil
	}
	return true, os.Remove(path)
}
