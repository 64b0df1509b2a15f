package artifact_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// TestFilesWalk walks through files while others delete them, and gives up on one
// that is no file, or when nobody waits any more.
func TestFilesWalk(t *testing.T) {
	dir := t.TempDir()
	files, err := artifact.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := put(t, files, []byte("0"))
	var neighbour store.ArtifactRef // in the same directory
	for n := 1; neighbour.Size == 0; n++ {
		if data := []byte(strconv.Itoa(n)); sha256.Sum256(data)[0] == first.SHA256[0] {
			neighbour = put(t, files, data)
		}
	}
	var seen []store.ArtifactRef
	err = files.Walk(t.Context(), func(i artifact.Info) error {
		seen = append(seen, i.ArtifactRef)
		return errors.Join(files.Delete(t.Context(), first.SHA256), files.Delete(t.Context(), neighbour.SHA256))
	})
	if err != nil || len(seen) != 1 {
		t.Errorf("saw %v, %v", seen, err)
	}
	put(t, files, []byte("0"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nothing := func(artifact.Info) error { return errors.New("visited") }
	if err := files.Walk(ctx, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	name := hex.EncodeToString(first.SHA256[:])
	path := filepath.Join(dir, name[:2], name[2:])
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := files.Walk(t.Context(), nothing); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("a directory: got %v", err)
	}
}

// TestFilesWithoutADirectory takes the directory for uploads away.
func TestFilesWithoutADirectory(t *testing.T) {
	dir := t.TempDir()
	files, err := artifact.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	incoming := filepath.Join(dir, "incoming")
	if err := os.Symlink("/dev/null", filepath.Join(incoming, "upload-1")); err != nil {
		t.Fatal(err)
	}
	if n, err := files.Sweep(t.Context()); n != 0 || !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a symbolic link: swept %d, %v", n, err)
	}
	if err := os.RemoveAll(incoming); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Create(t.Context(), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create: got %v", err)
	}
}
