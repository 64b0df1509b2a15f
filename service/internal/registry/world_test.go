package registry_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// world is a registry on a real store, parts of which can be made to fail.
type world struct {
	t         *testing.T
	registry  *registry.Registry
	store     *store.Store
	database  storetest.Database
	dir       string
	log       *bytes.Buffer
	ingestion *seal.PrivateKey
}

// faults are errors in place of what they are named after; nil where all is well.
type faults struct{ audited, drop, create, remove error }

type faultyStore struct {
	*store.Store
	*faults
}

func (s *faultyStore) Audited(ctx context.Context, do func(ctx context.Context) (audit.Record, error)) (audit.Entry, error) {
	return s.Store.Audited(ctx, func(ctx context.Context) (audit.Record, error) {
		r, err := do(ctx)
		return r, errors.Join(err, s.audited)
	})
}

func (s *faultyStore) DropArtifact(ctx context.Context, hash [32]byte, remove func(ctx context.Context) error) (bool, error) {
	if s.drop != nil {
		return false, s.drop
	}
	return s.Store.DropArtifact(ctx, hash, remove)
}

type faultyArtifacts struct {
	artifact.Store
	*faults
}

func (a *faultyArtifacts) Create(ctx context.Context, limit int64) (*artifact.Writer, error) {
	if a.create != nil {
		return nil, a.create
	}
	return a.Store.Create(ctx, limit)
}

func (a *faultyArtifacts) Delete(ctx context.Context, hash [32]byte) error {
	if a.remove != nil {
		return a.remove
	}
	return a.Store.Delete(ctx, hash)
}

func newWorld(t *testing.T, f *faults) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &bytes.Buffer{}, database: storetest.SQLite(t)}
	w.store = w.database.Open(t)
	kek, err := keyring.NewKEK(make([]byte, keyring.KEKSize))
	must(t, err)
	_, err = keyring.Open(t.Context(), w.store, kek)
	must(t, err)
	w.ingestion, err = seal.GenerateKey()
	must(t, err)
	files, err := artifact.OpenFiles(w.dir)
	must(t, err)
	faulty := &faultyStore{w.store, f}
	w.registry = registry.New(registry.Config{
		Store: faulty, Gate: access.NewGate(faulty, access.Limits{access.Uploads: {All: 100, Each: 100}, access.Exports: {All: 100, Each: 100}}, time.Now), Artifacts: &faultyArtifacts{files, f}, KEK: kek, Ingestion: w.ingestion,
		Identity: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Limits: registry.DefaultLimits(), Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left counts files, whole and half ones.
func (w *world) left() int {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "*", "*"))
	must(w.t, err)
	return len(files)
}

func (w *world) images() int64 {
	w.t.Helper()
	counts, err := w.store.Count(w.t.Context())
	must(w.t, err)
	return counts.Images
}

// upload begins the registration of an image.
func (w *world) upload(ctx context.Context, registration wire.Registration) (*registry.Upload, error) {
	u, err := w.registry.UploadImage(ctx, admin())
	if err != nil {
		return nil, err
	}
	if err := u.Begin(ctx, registration); err != nil {
		u.Abort()
		return nil, err
	}
	return u, nil
}

// begin starts an upload of an image with that name.
func (w *world) begin(ctx context.Context, name string) (*registry.Upload, wire.UUID) {
	w.t.Helper()
	id := wire.NewUUID()
	u, err := w.upload(ctx, wire.Registration{ImageID: id, Name: name, VCPUs: []int{1}, VCPUTypes: []string{"EPYC-Milan"}})
	must(w.t, err)
	w.t.Cleanup(u.Abort)
	return u, id
}

// fill adds all files.
func (w *world) fill(ctx context.Context, u *registry.Upload, image wire.UUID) error {
	w.t.Helper()
	key, err := seal.GenerateKey()
	must(w.t, err)
	secret, err := key.Bytes()
	must(w.t, err)
	sealed, err := w.ingestion.Public().Seal(wire.UnsealingKeyInfo(image), secret)
	must(w.t, err)
	for part, data := range map[string]string{
		registry.PartFirmware: string(vectors.MustRead(w.t, "measure/inputs/fw/ovmf_AmdSev_suffix.bin")),
		registry.PartKernel:   "kernel", registry.PartInitrd: "initrd", registry.PartCmdline: "cmdline", registry.PartUnsealingKey: string(sealed),
	} {
		if err := u.Add(ctx, part, strings.NewReader(data)); err != nil {
			return err
		}
	}
	return nil
}
