package registry_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// TestFaults fails at each step of a registration that is not the client's.
func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		faults faults
		files  int // that are left, for the sweeper
	}{
		"none":                              {faults{}, 3},
		"database":                          {faults{audited: broken}, 0},
		"disk":                              {faults{create: broken}, 0},
		"database, and then disk":           {faults{audited: broken, remove: broken}, 3},
		"database, and then database again": {faults{audited: broken, drop: broken}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			f := tc.faults
			w := newWorld(t, &f)
			u, id := w.begin(t.Context(), "a")
			err := w.fill(t.Context(), u, id)
			if err == nil {
				_, _, err = u.Finish(t.Context())
			}
			u.Abort()
			if failed := tc.faults != (faults{}); errors.Is(err, broken) != failed || (w.images() == 0) != failed || w.left() != tc.files {
				t.Errorf("got %v, %d images, %d files", err, w.images(), w.left())
			}
		})
	}
}

// TestContextEnds gives the request up between the last file and the end.
func TestContextEnds(t *testing.T) {
	w := newWorld(t, &faults{})
	ctx, cancel := context.WithCancel(t.Context())
	u, id := w.begin(ctx, "a")
	must(t, w.fill(ctx, u, id))
	cancel()
	if _, _, err := u.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	u.Abort()
	if w.left() != 0 || w.images() != 0 {
		t.Errorf("%d files, %d images", w.left(), w.images())
	}
}

// goneStore loses its client while it writes.
type goneStore struct {
	*store.Store
	gone context.CancelFunc
}

func (s *goneStore) Audited(ctx context.Context, _ func(ctx context.Context) (audit.Record, error)) (audit.Entry, error) {
	s.gone()
	return audit.Entry{}, ctx.Err()
}

// TestClientGoes gives the request up when the files are stored already: they are
// removed all the same.
func TestClientGoes(t *testing.T) {
	w := newWorld(t, &faults{})
	ctx, cancel := context.WithCancel(t.Context())
	w.registry.Gate.Log = &goneStore{w.store, cancel}
	u, id := w.begin(ctx, "a")
	must(t, w.fill(ctx, u, id))
	if _, _, err := u.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	u.Abort()
	if w.left() != 0 {
		t.Errorf("%d files are left", w.left())
	}
}

// TestReadErrors passes on the error of a body that breaks.
func TestReadErrors(t *testing.T) {
	w := newWorld(t, &faults{})
	broken := errors.New("broken")
	for _, part := range []string{registry.PartFirmware, registry.PartKernel, registry.PartInitrd, registry.PartCmdline, registry.PartUnsealingKey} {
		u, _ := w.begin(t.Context(), "a")
		if err := u.Add(t.Context(), part, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", part, err)
		}
		u.Abort()
		u.Abort() // does nothing more
	}
	if w.left() != 0 {
		t.Errorf("%d files are left", w.left())
	}
}

// TestReadErrorAtTheLimit breaks the body where it has to end: whether it does is
// not known.
func TestReadErrorAtTheLimit(t *testing.T) {
	w := newWorld(t, &faults{})
	w.registry.Limits.Kernel = 100
	broken := errors.New("broken")
	u, _ := w.begin(t.Context(), "a")
	defer u.Abort()
	body := io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(broken))
	if err := u.Add(t.Context(), registry.PartKernel, body); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestAbortThatFails says so in the log, and makes room for other uploads.
func TestAbortThatFails(t *testing.T) {
	w := newWorld(t, &faults{})
	u, _ := w.begin(t.Context(), "a")
	must(t, u.Add(t.Context(), registry.PartKernel, strings.NewReader("kernel")))
	incoming := filepath.Join(w.dir, "incoming")
	left, err := os.ReadDir(incoming)
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	// A directory that is not empty cannot be removed as a file.
	upload := filepath.Join(incoming, left[0].Name())
	must(t, os.Remove(upload))
	must(t, os.MkdirAll(filepath.Join(upload, "full"), 0o700))
	u.Abort()
	if !strings.Contains(w.log.String(), "upload was not removed") {
		t.Errorf("log: %s", w.log)
	}
	for range registry.DefaultLimits().Uploads {
		u, _ := w.begin(t.Context(), "a")
		defer u.Abort()
	}
}

// TestFileLimits uploads files that are as large as they may be, and one byte more.
func TestFileLimits(t *testing.T) {
	w := newWorld(t, &faults{})
	w.registry.Limits.Kernel, w.registry.Limits.Initrd = 100, 200
	for part, limit := range map[string]int{registry.PartKernel: 100, registry.PartInitrd: 200} {
		for size, want := range map[int]bool{limit - 1: true, limit: true, limit + 1: false, limit + 100_000: false} {
			u, _ := w.begin(t.Context(), "a")
			err := u.Add(t.Context(), part, iotest.OneByteReader(bytes.NewReader(make([]byte, size))))
			var large *registry.TooLargeError
			if errors.As(err, &large) == want || want && err != nil || !want && (large.Limit != int64(limit) || large.Part != part) {
				t.Errorf("%s of %d bytes: got %v", part, size, err)
			}
			u.Abort()
		}
	}
}

func TestLimits(t *testing.T) {
	r := registry.New(registry.Config{Limits: registry.DefaultLimits()})
	if r.Limits.Firmware != measure.MaxFirmwareSize {
		t.Errorf("firmware of up to %d bytes is taken, %d can be measured", r.Limits.Firmware, measure.MaxFirmwareSize)
	}
	if want := int64(measure.MaxFirmwareSize + 256<<20 + 1<<30 + 2048 + wire.SealedUnsealingKeySize); r.MaxUpload() != want {
		t.Errorf("uploads of up to %d bytes, want %d", r.MaxUpload(), want)
	}
}

// TestTooManyUploads starts as many as there may be, and one more.
func TestTooManyUploads(t *testing.T) {
	w := newWorld(t, &faults{})
	first, _ := w.begin(t.Context(), "0")
	for range registry.DefaultLimits().Uploads - 1 {
		w.begin(t.Context(), "a")
	}
	another := wire.Registration{ImageID: wire.NewUUID(), Name: "b", VCPUs: []int{1}, VCPUTypes: []string{"EPYC"}}
	if _, err := w.upload(t.Context(), another); !errors.Is(err, registry.ErrBusy) {
		t.Errorf("got %v", err)
	}
	first.Abort()
	u, err := w.upload(t.Context(), another)
	must(t, err)
	u.Abort()
}

// TestDeleteWithFaults deletes an image whose files cannot be removed: it is gone,
// and the sweeper can find them.
func TestDeleteWithFaults(t *testing.T) {
	f := &faults{}
	w := newWorld(t, f)
	u, id := w.begin(t.Context(), "a")
	must(t, w.fill(t.Context(), u, id))
	_, release, err := u.Finish(t.Context())
	must(t, err)
	f.audited = errors.New("broken")
	if err := w.registry.DeleteImage(t.Context(), admin(), id); !errors.Is(err, f.audited) || w.images() != 1 || w.left() != 3 {
		t.Errorf("got %v, %d images, %d files", err, w.images(), w.left())
	}
	if _, err := w.registry.Export(t.Context(), admin(), id, release.ID, registry.ExportOptions{Format: bundle.Tar}); err != nil {
		t.Error(err)
	}
	*f = faults{remove: errors.New("read-only file system")}
	if err := w.registry.DeleteImage(t.Context(), admin(), id); err != nil || w.images() != 0 || w.left() != 3 {
		t.Errorf("got %v, %d images, %d files", err, w.images(), w.left())
	}
	if !strings.Contains(w.log.String(), "read-only file system") {
		t.Errorf("log: %s", w.log)
	}
	if _, err := w.registry.Export(t.Context(), admin(), id, release.ID, registry.ExportOptions{Format: bundle.Tar}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestForgedIDBlocks exports releases whose ID blocks were changed in the database, and
// one with the genuine ID block of another variant.
func TestForgedIDBlocks(t *testing.T) {
	for name, forge := range map[string]string{
		"changed ID block":       `UPDATE variants SET id_block = zeroblob(96)`,
		"changed signature":      `UPDATE variants SET id_auth = zeroblob(4096)`,
		"ID block of another":    `UPDATE variants SET id_block = (SELECT id_block FROM variants v WHERE v.position = 1)`,
		"other signature":        `UPDATE variants SET id_auth = (SELECT id_auth FROM variants v WHERE v.position = 1)`,
		"both of another":        `UPDATE variants SET id_block = (SELECT id_block FROM variants v WHERE v.position = 1), id_auth = (SELECT id_auth FROM variants v WHERE v.position = 1)`,
		"and of its measurement": `UPDATE variants SET measurement = (SELECT measurement FROM variants v WHERE v.position = 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &faults{})
			registration := wire.Registration{ImageID: wire.NewUUID(), Name: "a", VCPUs: []int{1, 2}, VCPUTypes: []string{"EPYC-Milan"}}
			u, err := w.upload(t.Context(), registration)
			must(t, err)
			t.Cleanup(u.Abort)
			must(t, w.fill(t.Context(), u, registration.ImageID))
			_, release, err := u.Finish(t.Context())
			must(t, err)
			_, err = w.registry.Export(t.Context(), admin(), registration.ImageID, release.ID, registry.ExportOptions{Format: bundle.Tar})
			must(t, err)
			_, err = w.database.Raw(t).ExecContext(t.Context(), forge)
			must(t, err)
			if _, err := w.registry.Export(t.Context(), admin(), registration.ImageID, release.ID, registry.ExportOptions{Format: bundle.Tar}); !errors.Is(err, store.ErrTampered) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestForeignIDBlock exports a release whose ID block somebody who writes to the
// database has signed himself, for the very same launch.
func TestForeignIDBlock(t *testing.T) {
	w := newWorld(t, &faults{})
	u, id := w.begin(t.Context(), "a")
	must(t, w.fill(t.Context(), u, id))
	_, release, err := u.Finish(t.Context())
	must(t, err)
	block, err := idblock.Parse(release.Variants[0].IDBlock)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	signed, err := idblock.Sign(block, key, key)
	must(t, err)
	auth, err := signed.Bytes()
	must(t, err)
	_, err = w.database.Raw(t).ExecContext(t.Context(), `UPDATE variants SET id_auth = $1`, auth)
	must(t, err)
	if _, err := w.registry.Export(t.Context(), admin(), id, release.ID, registry.ExportOptions{Format: bundle.Tar}); !errors.Is(err, store.ErrTampered) {
		t.Errorf("got %v", err)
	}
}

// admin is who does all of this.
func admin() access.Actor {
	return access.Actor{Principal: access.Principal{ID: "x", Role: wire.RoleAdmin}, Secret: "x", RequestID: "r", Address: "a"}
}

// TestMissingArtifact exports a release one of whose files is gone.
func TestMissingArtifact(t *testing.T) {
	w := newWorld(t, &faults{})
	u, id := w.begin(t.Context(), "a")
	must(t, w.fill(t.Context(), u, id))
	_, release, err := u.Finish(t.Context())
	must(t, err)
	files, err := filepath.Glob(filepath.Join(w.dir, "??", "*"))
	must(t, err)
	for _, f := range files {
		must(t, os.Remove(f))
	}
	export, err := w.registry.Export(t.Context(), admin(), id, release.ID, registry.ExportOptions{Format: bundle.Tar})
	must(t, err)
	if err := export.Stream(io.Discard); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, _, err := w.registry.OpenArtifact(t.Context(), admin(), id, release.ID, bundle.NameKernel); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
