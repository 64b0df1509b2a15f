package background_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
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
