package api_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// checkBundle reads a bundle with all variants, or with those of the given names.
func (w *world) checkBundle(data []byte, r wire.Registered, variants ...string) {
	w.t.Helper()
	identity, _ := w.keys.Identity.Public().(ed25519.PublicKey)
	m, err := bundle.Verify(bytes.NewReader(data), identity)
	must(w.t, err)
	if len(variants) == 0 {
		variants = []string{"1xEPYC-Milan", "2xEPYC-Milan", "1xEPYC-Genoa", "2xEPYC-Genoa"}
	}
	var got []string
	for _, v := range m.Variants {
		got = append(got, v.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(variants) || m.Image != r.Image.ID || m.Release != r.Release.ID || m.ImageName != r.Image.Name || !m.CreatedAt.Equal(r.Release.CreatedAt) {
		w.t.Errorf("manifest %+v", m)
	}
}

func TestBundle(t *testing.T) {
	w := newWorld(t)
	r := w.registered("a")
	for query, contentType := range map[string]string{
		"": "application/gzip", "?format=tar.gz": "application/gzip", "?format=tar": "application/x-tar",
	} {
		a := w.get(releasePath(r)+"/bundle"+query, wire.RoleRegister).want(200)
		w.checkBundle(a.body, r)
		if a.header.Get("Content-Type") != contentType || a.header.Get("Content-Disposition") == "" {
			t.Errorf("%s: %v", query, a.header)
		}
	}
	w.checkBundle(w.get(releasePath(r)+"/bundle?variant=2xEPYC-Genoa", wire.RoleRegister).want(200).body, r, "2xEPYC-Genoa")
	for query, code := range map[string]wire.Code{
		"?format=zip": wire.CodeMalformed, "?variant=3xEPYC-Genoa": wire.CodeUnprocessable, "?variant=../x": wire.CodeUnprocessable, "?x=y": wire.CodeMalformed,
	} {
		w.get(releasePath(r)+"/bundle"+query, wire.RoleRegister).problem(code)
	}
}

func TestSquashFSBundle(t *testing.T) {
	w := newWorld(t)
	r := w.registered("a")
	a := w.get(releasePath(r)+"/bundle?format=squashfs", wire.RoleRegister).want(200)
	dir := t.TempDir()
	image := filepath.Join(dir, "bundle.squashfs")
	must(t, os.WriteFile(image, a.body, 0o600))
	out, err := exec.CommandContext(t.Context(), "unsquashfs", "-no-xattrs", "-d", filepath.Join(dir, "out"), image).CombinedOutput()
	if err != nil {
		t.Fatalf("unsquashfs (package squashfs-tools): %v: %s", err, out)
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, "out", name))
		must(t, err)
		return data
	}
	identity, _ := w.keys.Identity.Public().(ed25519.PublicKey)
	m, err := bundle.ParseManifest(read(bundle.NameManifest), read(bundle.NameSignature), identity)
	must(t, err)
	for _, f := range m.Files {
		if sum := sha256.Sum256(read(f.Name)); hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%s is not what the manifest says", f.Name)
		}
	}
}

// TestDamagedBundle changes an artifact behind the service's back: a client must
// not take what it got for whole.
func TestDamagedBundle(t *testing.T) {
	w := newWorld(t)
	r := w.registered("a")
	for _, a := range r.Release.Artifacts {
		if a.Name == bundle.NameKernel {
			must(t, os.WriteFile(filepath.Join(w.files.dir, a.SHA256[:2], a.SHA256[2:]), []byte("THE KERNEL"), 0o600))
		}
	}
	for _, path := range []string{"/bundle", "/bundle?format=tar", "/artifacts/vmlinuz"} {
		if a := w.try(call{method: "GET", path: releasePath(r) + path, token: w.tokens[wire.RoleRegister]}); a != nil {
			t.Errorf("%s: %d, %d bytes", path, a.status, len(a.body))
		}
	}
}

func TestArtifacts(t *testing.T) {
	w := newWorld(t)
	r := w.registered("a")
	for name, want := range map[string][]byte{
		bundle.NameFirmware: firmware(t), bundle.NameKernel: []byte("the kernel"), bundle.NameInitrd: []byte("the initrd"),
	} {
		a := w.get(releasePath(r)+"/artifacts/"+name, wire.RoleRegister).want(200)
		sum := sha256.Sum256(want)
		if !bytes.Equal(a.body, want) || a.header.Get("Content-Disposition") != "attachment; filename="+name ||
			a.header.Get("Content-Length") != fmt.Sprint(len(want)) ||
			a.header.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
}
