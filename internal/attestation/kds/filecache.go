package kds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// maxFileCacheEntries bounds a FileCache: a host that shows reports with ever
// other TCB versions shall not fill the disk.
const maxFileCacheEntries = 100_000

// FileCache keeps each entry in a file of one directory, named by Key.String.
// The modification time of the file is when the entry was fetched.
type FileCache struct {
	dir string
	max int

	mu    sync.Mutex
	count int // files in dir, -1 before the first Put
}

// OpenFileCache makes the directory where it is missing. Several processes may
// use the same one.
func OpenFileCache(dir string) (*FileCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return &FileCache{dir: dir, max: maxFileCacheEntries, count: -1}, nil
}

// Dir returns the directory.
func (c *FileCache) Dir() string { return c.dir }

func (c *FileCache) path(key Key) string { return filepath.Join(c.dir, key.String()) }

// Get implements Cache.
func (c *FileCache) Get(_ context.Context, key Key) (Entry, error) {
	path := c.path(key)
	// Before opening, which would block on a FIFO.
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, fmt.Errorf("%s: %w", key, ErrNotCached)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read cache: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return Entry{}, fmt.Errorf("%w: %s is %s, %d bytes", ErrCorrupt, path, info.Mode(), info.Size())
	}
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, fmt.Errorf("read cache: %w", err)
	}
	defer f.Close()
	// Another process may have replaced the file since.
	if info, err = f.Stat(); err != nil {
		return Entry{}, fmt.Errorf("read cache: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(key.MaxSize())+1))
	if err != nil {
		return Entry{}, fmt.Errorf("read cache: %w", err)
	}
	if len(data) > key.MaxSize() {
		return Entry{}, fmt.Errorf("%w: %s has more than %d bytes", ErrCorrupt, path, key.MaxSize())
	}
	return Entry{Data: data, FetchedAt: info.ModTime()}, nil
}

// Put implements Cache. The file appears by rename, whole or not at all.
func (c *FileCache) Put(_ context.Context, key Key, entry Entry) error {
	if len(entry.Data) == 0 || len(entry.Data) > key.MaxSize() {
		return fmt.Errorf("write cache: %s has %d bytes, want 1 to %d", key, len(entry.Data), key.MaxSize())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	added, err := c.room(key)
	if err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	if err := c.write(key, entry); err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	c.count += added
	return nil
}

// room returns how many files writing the key adds, or an error when that is
// one too many.
func (c *FileCache) room(key Key) (int, error) {
	if _, err := os.Lstat(c.path(key)); err == nil {
		return 0, nil
	}
	if c.count < 0 {
		names, err := os.ReadDir(c.dir)
		if err != nil {
			return 0, err
		}
		c.count = len(names)
	}
	if c.count >= c.max {
		return 0, fmt.Errorf("%w: %d entries in %s", ErrCacheFull, c.count, c.dir)
	}
	return 1, nil
}

func (c *FileCache) write(key Key, entry Entry) error {
	p, err := renameio.NewPendingFile(c.path(key), renameio.WithTempDir(c.dir), renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer p.Cleanup() //nolint:errcheck // nothing is left to clean up after success, nothing to be done otherwise
	if _, err := p.Write(entry.Data); err != nil {
		return err
	}
	if err := os.Chtimes(p.Name(), time.Time{}, entry.FetchedAt); err != nil {
		return err
	}
	return p.CloseAtomicallyReplace()
}

// List implements Cache. Files with other names are left out.
func (c *FileCache) List(_ context.Context) ([]Listed, error) {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("list cache: %w", err)
	}
	var out []Listed
	for _, f := range files {
		key, err := ParseKey(f.Name())
		if err != nil {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list cache: %w", err)
		}
		out = append(out, Listed{Key: key, Size: info.Size(), FetchedAt: info.ModTime()})
	}
	return out, nil
}
