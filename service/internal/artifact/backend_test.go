package artifact_test

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

func openFiles(t *testing.T) backend {
	dir := filepath.Join(t.TempDir(), "data", "artifacts")
	files, err := artifact.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return backend{
		Store: files,
		damage: func(t *testing.T, hash [32]byte, change func([]byte) []byte) {
			name := hex.EncodeToString(hash[:])
			path := filepath.Join(dir, name[:2], name[2:])
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		leftovers: func(t *testing.T) int {
			left, err := os.ReadDir(filepath.Join(dir, "incoming"))
			if err != nil {
				t.Fatal(err)
			}
			return len(left)
		},
		crash: func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "incoming", "upload-123"), content(10), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// stores are the stores of the databases that tests have opened.
var stores sync.Map

func storeOf(t *testing.T, d *artifact.Database) *store.Store {
	t.Helper()
	s, ok := stores.Load(d)
	if !ok {
		t.Fatal("no store")
	}
	return s.(*store.Store)
}

func openDatabase(t *testing.T, d storetest.Database) backend {
	clock := storetest.NewClock(0)
	clock.Advance(time.Since(clock.Now()))
	s := d.Open(t, store.Options{Now: clock.Now, MaxConns: 8})
	database := artifact.OpenDatabase(s, clock.Now)
	stores.Store(database, s)
	return backend{
		Store: database,
		damage: func(t *testing.T, hash [32]byte, change func([]byte) []byte) {
			blob, err := s.StatBlob(t.Context(), hash)
			if err != nil {
				t.Fatal(err)
			}
			raw := d.Raw(t)
			for position := range blob.Size/chunk + 1 {
				part, err := s.BlobChunk(t.Context(), blob.ID, position)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := raw.ExecContext(t.Context(), `UPDATE blob_chunks SET content = $1 WHERE blob_id = $2 AND position = $3`,
					change(part), blob.ID[:], position); err != nil {
					t.Fatal(err)
				}
			}
		},
		leftovers: func(t *testing.T) int {
			var uploads, chunks int
			raw := d.Raw(t)
			if err := raw.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM blobs WHERE sha256 IS NULL`).Scan(&uploads); err != nil {
				t.Fatal(err)
			}
			if err := raw.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM blob_chunks
				WHERE blob_id NOT IN (SELECT id FROM blobs)`).Scan(&chunks); err != nil {
				t.Fatal(err)
			}
			return uploads + chunks
		},
		crash: func(t *testing.T) {
			id, err := s.BeginBlob(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for n := range int64(40) {
				if err := s.AppendBlob(t.Context(), id, n, content(10)); err != nil {
					t.Fatal(err)
				}
			}
			clock.Advance(2 * time.Hour)
			if err := s.AppendBlob(t.Context(), id, 40, content(10)); err != nil {
				t.Fatal(err)
			}
			clock.Advance(2 * time.Hour)
		},
	}
}

// TestDamagedChunks deletes, cuts and renumbers chunks. No byte of a chunk of the
// wrong size is handed out.
func TestDamagedChunks(t *testing.T) {
	for name, tc := range map[string]struct {
		statement string
		read      int
	}{
		"first gone":  {`DELETE FROM blob_chunks WHERE position = 0`, 0},
		"last gone":   {`DELETE FROM blob_chunks WHERE position = 1`, chunk},
		"first short": {`UPDATE blob_chunks SET content = (SELECT content FROM blob_chunks WHERE position = 1) WHERE position = 0`, 0},
		"last long":   {`UPDATE blob_chunks SET content = (SELECT content FROM blob_chunks WHERE position = 0) WHERE position = 1`, chunk},
	} {
		d := storetest.SQLite(t)
		database := artifact.OpenDatabase(d.Open(t), time.Now)
		ref := put(t, database, content(chunk+10))
		if _, err := d.Raw(t).ExecContext(t.Context(), tc.statement); err != nil {
			t.Fatal(err)
		}
		if data, err := get(t.Context(), database, ref); !errors.Is(err, artifact.ErrCorrupt) || len(data) != tc.read {
			t.Errorf("%s: got %d bytes, %v", name, len(data), err)
		}
	}
}

// TestFilesMode looks at what is on the disk: nobody else may read it.
func TestFilesMode(t *testing.T) {
	dir := t.TempDir()
	files, err := artifact.OpenFiles(filepath.Join(dir, "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	ref := put(t, files, content(10))
	name := hex.EncodeToString(ref.SHA256[:])
	for path, want := range map[string]os.FileMode{
		"artifacts": os.ModeDir | 0o700, "artifacts/incoming": os.ModeDir | 0o700,
		"artifacts/" + name[:2]: os.ModeDir | 0o700, "artifacts/" + name[:2] + "/" + name[2:]: 0o600,
	} {
		if info, err := os.Lstat(filepath.Join(dir, path)); err != nil || info.Mode() != want {
			t.Errorf("%s: got %v, %v, want %s", path, info, err, want)
		}
	}
}

// TestFilesForeign puts other things where artifacts are.
func TestFilesForeign(t *testing.T) {
	dir := t.TempDir()
	files, err := artifact.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	ref := put(t, files, content(10))
	name := hex.EncodeToString(ref.SHA256[:])
	path := filepath.Join(dir, name[:2], name[2:])
	for _, foreign := range []string{path + "0", filepath.Join(dir, "note"), filepath.Join(dir, name[:2], "note")} {
		if err := os.WriteFile(foreign, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if refs := list(t, files); len(refs) != 1 || refs[0] != ref {
		t.Errorf("got %v", refs)
	}
	if err := os.Rename(path, path+"1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+"1", path); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Stat(t.Context(), ref.SHA256); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("a symbolic link: got %v", err)
	}
}

// TestFilesGrow makes a file longer while it is read.
func TestFilesGrow(t *testing.T) {
	b := openFiles(t)
	ref := put(t, b, content(10))
	r, err := b.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	b.damage(t, ref.SHA256, func(d []byte) []byte { return append(d, content(chunk)...) })
	data, err := io.ReadAll(r)
	if !errors.Is(err, artifact.ErrCorrupt) || len(data) > 10 || r.Close() != nil {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
}

// TestAbortedElsewhere goes on with an upload that Sweep has just marked.
func TestAbortedElsewhere(t *testing.T) {
	d := storetest.SQLite(t)
	s := d.Open(t)
	id, err := s.BeginBlob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Raw(t).ExecContext(t.Context(), `UPDATE blobs SET touched_at = 0`); err != nil {
		t.Fatal(err)
	}
	_, finishErr := s.FinishBlob(t.Context(), id, store.ArtifactRef{})
	for _, err := range []error{finishErr, s.AppendBlob(t.Context(), id, 0, []byte{1})} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

// TestStalled sweeps an upload away that made no progress, and then goes on. It
// must not come to be without its first part.
func TestStalled(t *testing.T) {
	for name, d := range map[string]storetest.Database{"sqlite": storetest.SQLite(t), "postgres": storetest.Postgres(t, &cluster)} {
		clock := storetest.NewClock(0)
		database := artifact.OpenDatabase(d.Open(t, store.Options{Now: clock.Now}), clock.Now)
		for _, more := range []int{0, chunk} {
			w, err := database.Create(t.Context(), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content(chunk)); err != nil {
				t.Fatal(err)
			}
			clock.Advance(2 * time.Hour)
			if n, err := database.Sweep(t.Context()); n != 1 || err != nil {
				t.Errorf("%s: swept %d, %v", name, n, err)
			}
			_, writeErr := w.Write(content(more))
			if _, err := w.Commit(); !errors.Is(err, store.ErrNotFound) || (more > 0) != errors.Is(writeErr, store.ErrNotFound) {
				t.Errorf("%s: got %v and %v", name, writeErr, err)
			}
		}
		if refs := list(t, database); len(refs) != 0 {
			t.Errorf("%s: got %v", name, refs)
		}
	}
}
