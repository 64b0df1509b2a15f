package bundle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

func unsigned(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bundle.WriteUnsigned(&b, release()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestUnsigned: such a bundle is taken only where it is asked for, and there nothing
// else is.
func TestUnsigned(t *testing.T) {
	nobody := bundle.Trust{Unsigned: true}
	dir := t.TempDir()
	m, err := nobody.Extract(bytes.NewReader(unsigned(t)), dir)
	if err != nil || !m.Unsigned || m.ImageName != "debian" || m.Variants[0].Measurement != "" {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, want := range map[string]bool{bundle.NameKernel: true, bundle.NameLaunchConfig: true, bundle.NameSignature: false, bundle.NameIDBlock: false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tc := range map[string]struct {
		trust bundle.Trust
		data  []byte
	}{
		"unsigned for the service":      {bundle.Trust{Identity: public(identityKey())}, unsigned(t)},
		"unsigned for nobody in sight":  {bundle.Trust{}, unsigned(t)},
		"signed where none is wanted":   {nobody, written(t, bundle.TarGz)},
		"a signature that was cut off":  {nobody, pack(t, append(unpack(t)[:1], unpack(t)[2:]...))},
		"another kernel":                {nobody, bytes.ReplaceAll(unsigned(t), []byte("kernel\x00"), []byte("Kernel\x00"))},
		"cut":                           {nobody, unsigned(t)[:2000]},
		"both, for the key of nobody's": {bundle.Trust{Identity: public(identityKey()), Unsigned: true}, written(t, bundle.TarGz)},
	} {
		if m, err := tc.trust.Verify(bytes.NewReader(tc.data)); !errors.Is(err, bundle.ErrBundle) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if _, err := (bundle.Trust{Identity: public(identityKey())}).Verify(bytes.NewReader(unsigned(t))); !errors.Is(err, bundle.ErrUnsigned) {
		t.Errorf("not said plainly: %v", err)
	}
	if _, err := nobody.ParseManifest([]byte("{}"), []byte("x")); !errors.Is(err, bundle.ErrBundle) {
		t.Errorf("a signature that nobody checks: %v", err)
	}

	// What a service signs has no place beside a manifest that nobody signed.
	m.Files = append(m.Files, bundle.ManifestEntry{Name: bundle.NameIDBlock, Size: 96, SHA256: strings.Repeat("ab", 32)})
	encoded, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.ParseManifest(encoded, nil); !errors.Is(err, bundle.ErrBundle) || !strings.Contains(err.Error(), bundle.NameIDBlock) {
		t.Errorf("an ID block that nobody vouches for: %v", err)
	}
}
