package kds_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds/cachetest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func openFileCache(t *testing.T, dir string) *kds.FileCache {
	t.Helper()
	cache, err := kds.OpenFileCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func TestFileCache(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) (kds.Cache, func() kds.Cache) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		return openFileCache(t, dir), func() kds.Cache { return openFileCache(t, dir) }
	})
}

// What is not a plain file of a possible size is reported as damaged, at once.
func TestFileCacheOddFiles(t *testing.T) {
	key, err := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"symlink":   func(path string) error { return os.Symlink("/etc/passwd", path) },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"too large": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Truncate(path, int64(key.MaxSize())+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := openFileCache(t, t.TempDir())
			if err := make(filepath.Join(cache.Dir(), key.String())); err != nil {
				t.Fatal(err)
			}
			if _, err := cache.Get(t.Context(), key); !errors.Is(err, kds.ErrCorrupt) {
				t.Errorf("got %v, want %v", err, kds.ErrCorrupt)
			}
		})
	}
}

func TestFileCacheLeavesNothingElse(t *testing.T) {
	cache := openFileCache(t, t.TempDir())
	key, err := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		t.Fatal(err)
	}
	// A directory in the way makes the rename fail.
	if err := os.MkdirAll(filepath.Join(cache.Dir(), key.String(), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := cache.Put(t.Context(), key, kds.Entry{Data: []byte("x"), FetchedAt: time.Now()}); err == nil {
		t.Error("wrote over a directory")
	}
	files, err := os.ReadDir(cache.Dir())
	if err != nil || len(files) != 1 {
		t.Errorf("left behind %v, %v", files, err)
	}
}

func TestFileCacheIgnoresForeignFiles(t *testing.T) {
	cache := openFileCache(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(cache.Dir(), "notes.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if listed, err := cache.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("got %v, %v", listed, err)
	}
	if err := os.RemoveAll(cache.Dir()); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.List(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
}
