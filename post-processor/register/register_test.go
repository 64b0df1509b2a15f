package register

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// staged makes a staging directory and the artifact that has it.
func staged(t *testing.T) (dir string, artifact *packer.MockArtifact) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "staging")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, staging.NameKernel), []byte("kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &staging.Conversion{Format: staging.Format, ImageID: wire.NewUUID()}
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, &packer.MockArtifact{FilesValue: []string{"web.qcow2", filepath.Join(dir, staging.NameConversion)}}
}

func TestFindStaging(t *testing.T) {
	dir, artifact := staged(t)
	var c Config
	if err := c.findStaging(artifact); err != nil || c.Staging != dir || c.Bundle != filepath.Join(filepath.Dir(dir), "launch-artifacts.tar.gz") {
		t.Errorf("got %s, %s, %v", c.Staging, c.Bundle, err)
	}
	var wrong *option.Error
	if err := new(Config).findStaging(&packer.MockArtifact{FilesValue: []string{"web.qcow2"}}); !errors.As(err, &wrong) || wrong.Option != "staging" {
		t.Errorf("an artifact of somebody else: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, staging.NameKernel), []byte("Kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := new(Config).findStaging(artifact); !errors.Is(err, staging.ErrStaging) {
		t.Errorf("a changed kernel: %v", err)
	}
}

// TestFailureKeeps fails and keeps the artifact of the conversion.
func TestFailureKeeps(t *testing.T) {
	artifact := &packer.MockArtifact{FilesValue: []string{"x"}, StateValues: map[string]any{
		conversion.StateKeep: true, conversion.StateImage: "web.qcow2",
	}}
	made, keep, force, err := new(PostProcessor).PostProcess(t.Context(), packer.TestUi(t), artifact)
	if made != nil || !keep || !force || err == nil || !strings.Contains(err.Error(), "the converted image is kept: web.qcow2") {
		t.Errorf("got %v, %t, %t, %v", made, keep, force, err)
	}
}

func TestArtifact(t *testing.T) {
	source := &packer.MockArtifact{FilesValue: []string{"web.qcow2"}, StateValues: map[string]any{conversion.StateImage: "web.qcow2"}}
	bundle := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(bundle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	registered := &wire.Registered{Image: wire.Image{ID: wire.NewUUID()}, Release: wire.Release{
		ID: wire.NewUUID(), Variants: []wire.Variant{{VCPUs: 4, VCPUType: "EPYC-Milan", Measurement: "ab"}},
	}}
	a, err := newArtifact(source, bundle, "https://attest", registered)
	if err != nil {
		t.Fatal(err)
	}
	if files := a.Files(); len(files) != 2 || files[1] != bundle {
		t.Errorf("files are %q", files)
	}
	for name, want := range map[string]any{
		conversion.StateImage: "web.qcow2", StateBundle: bundle, StateServiceURL: "https://attest",
		StateReleaseID: registered.Release.ID.String(), StateMeasurements: `{"4xEPYC-Milan":"ab"}`, "token": nil,
	} {
		if got := a.State(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if err := a.Destroy(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(bundle); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the bundle is still there: %v", err)
	}
}
