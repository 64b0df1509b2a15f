package background_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

func upload(t *testing.T, artifacts artifact.Store, text string) store.ArtifactRef {
	t.Helper()
	w, err := artifacts.Create(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	ref, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// TestClean keeps what a release uses and what is young, and deletes the rest.
func TestClean(t *testing.T) {
	s := storetest.SQLite(t).Open(t)
	artifacts, err := artifact.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	j := &background.Janitor{Store: s, Artifacts: artifacts, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	release := storetest.Release("", "", "")
	release.Firmware, release.Kernel, release.Initrd = upload(t, artifacts, "firmware"), upload(t, artifacts, "kernel"), upload(t, artifacts, "initrd")
	if _, _, err := s.CreateImage(t.Context(), storetest.Image("image"), release, artifact.Present(artifacts)); err != nil {
		t.Fatal(err)
	}
	orphan := upload(t, artifacts, "orphan")
	there := func(ref store.ArtifactRef) bool {
		_, err := artifacts.Stat(t.Context(), ref.SHA256)
		return err == nil
	}
	if err := j.Clean(t.Context()); err != nil || !there(orphan) {
		t.Errorf("a young upload is gone, %v", err)
	}
	now = now.Add(25 * time.Hour)
	if err := j.Clean(t.Context()); err != nil || there(orphan) {
		t.Errorf("an old upload that nobody uses is there, %v", err)
	}
	for _, ref := range []store.ArtifactRef{release.Firmware, release.Kernel, release.Initrd} {
		if !there(ref) {
			t.Errorf("an artifact in use is gone: %x", ref.SHA256)
		}
	}
}

// TestCleanInstances destroys the share of an instance a day after it was deleted, and
// says so in the audit log.
func TestCleanInstances(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	s := storetest.SQLite(t).Open(t, store.Options{Now: clock})
	artifacts, err := artifact.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	j := &background.Janitor{Store: s, Artifacts: artifacts, Now: clock, Log: slog.New(slog.DiscardHandler)}
	image := storetest.Image("image")
	image.Instances = storetest.Named()
	if _, _, err := s.CreateImage(t.Context(), image, storetest.Release("f", "k", "i"), storetest.Present); err != nil {
		t.Fatal(err)
	}
	instance, err := s.CreateInstance(t.Context(), storetest.Instance(image.ID, "web-1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteInstance(t.Context(), instance.ID); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		after   time.Duration
		records int
	}{{0, 0}, {store.UndoPeriod - time.Minute, 0}, {time.Minute, 1}, {time.Hour, 1}} {
		now = now.Add(tc.after)
		if err := j.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := s.InstanceByID(t.Context(), instance.ID)
		if gone := errors.Is(err, store.ErrNotFound); gone != (tc.records > 0) {
			t.Errorf("%s later: gone: %t, %v", tc.after, gone, err)
		}
		records, err := s.ListAudit(t.Context(), store.AuditFilter{Reason: string(audit.ReasonInstanceDestroyed)}, store.AuditRange{})
		if err != nil || len(records) != tc.records {
			t.Errorf("%s later: %d records, %v", tc.after, len(records), err)
		}
	}
}
