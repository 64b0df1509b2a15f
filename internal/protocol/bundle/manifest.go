package bundle

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Names of the files of a bundle. Launchers know them.
const (
	NameManifest     = "manifest.json"
	NameSignature    = "manifest.json.sig"
	NameFirmware     = "firmware-code.fd"
	NameKernel       = "vmlinuz"
	NameInitrd       = "initrd.img"
	NameCmdline      = "kernel-params.txt"
	NameLaunchConfig = "launch-config.json"
	NameIDBlock      = "id-block.bin"
	NameIDAuth       = "id-auth.bin"

	variantsDir = "variants"
)

// manifestFormat is the version of the manifest.
const manifestFormat = 1

// Errors of reading a bundle.
var (
	// ErrSignature: the manifest is not signed by the expected identity key.
	ErrSignature = errors.New("bundle is not signed by this service")
	// ErrBundle: the bundle is malformed or does not match its manifest.
	ErrBundle = errors.New("malformed bundle")
	// ErrUnsigned: the bundle has no signature, and such a one was not asked for.
	ErrUnsigned = fmt.Errorf("%w: it is not signed", ErrBundle)
)

// Manifest says what a bundle holds.
type Manifest struct {
	Format    int             `json:"format"`
	Image     wire.UUID       `json:"image_id"`
	Release   wire.UUID       `json:"release_id"`
	ImageName string          `json:"image_name"`
	CreatedAt time.Time       `json:"created_at"` // of the release
	Simulated bool            `json:"simulated"`  // registered with a simulated AMD
	Variants  []Variant       `json:"variants"`   // the default first
	Files     []ManifestEntry `json:"files"`      // in the order of the archive
	Unsigned  bool            `json:"-"`          // nobody has signed it, and it has no ID blocks
}

// Variant is a size in which the release can be launched.
type Variant struct {
	VCPUs       int    `json:"vcpus"`
	VCPUType    string `json:"vcpu_type"`
	Policy      string `json:"guest_policy"` // hexadecimal with 0x
	Measurement string `json:"measurement"`  // hexadecimal; empty where nobody has signed
}

// Name returns what the files of the variant are named by, such as
// "4xEPYC-Genoa".
func (v Variant) Name() string { return fmt.Sprintf("%dx%s", v.VCPUs, v.VCPUType) }

// file returns the name of one of the variant's files: plain for the default.
func (v Variant) file(name string, isDefault bool) string {
	if isDefault {
		return name
	}
	return path.Join(variantsDir, v.Name()+"."+name)
}

// VariantFile returns the name that a file such as NameIDBlock has for the
// variant with this index.
func (m *Manifest) VariantFile(i int, name string) string { return m.Variants[i].file(name, i == 0) }

// ManifestEntry is a file of a bundle.
type ManifestEntry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

// LaunchConfig is launch-config.json, as existing launchers read it.
type LaunchConfig struct {
	VCPUModel   string `json:"vcpu-model"`
	VCPUCount   int    `json:"vcpu-count"`
	GuestPolicy string `json:"guest-policy"` // hexadecimal with 0x
}

// signedBytes is what the identity key signs.
func signedBytes(manifest []byte) []byte {
	return append([]byte("snpguard/v1/manifest\x00"), manifest...)
}

// Sign returns the signature of an encoded manifest.
func Sign(key ed25519.PrivateKey, manifest []byte) []byte {
	return ed25519.Sign(key, signedBytes(manifest))
}

// ParseManifest checks the signature first, then reads the manifest. The error
// wraps ErrSignature or ErrBundle.
func ParseManifest(encoded, signature []byte, identity ed25519.PublicKey) (*Manifest, error) {
	return Trust{Identity: identity}.ParseManifest(encoded, signature)
}

// ParseManifest is the function ParseManifest for whom is trusted here. Where that
// is nobody, there is no signature.
func (t Trust) ParseManifest(encoded, signature []byte) (*Manifest, error) {
	switch {
	case t.Unsigned && len(signature) == 0:
	case t.Unsigned:
		return nil, fmt.Errorf("%w: it has a signature, where one without is wanted", ErrBundle)
	default:
		key, err := identity.Parse(t.Identity)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
		if !ed25519.Verify(key, signedBytes(encoded), signature) {
			return nil, ErrSignature
		}
	}
	var m Manifest
	if err := strictjson.Decode(encoded, &m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrBundle, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("%w: manifest has format %d, this program knows %d", ErrBundle, m.Format, manifestFormat)
	}
	m.Unsigned = t.Unsigned
	return &m, m.check()
}

// check wants safe, unique names and sizes within bounds. An ID block comes with a
// signature and the other way round.
func (m *Manifest) check() error {
	if len(m.Variants) == 0 || len(m.Files) > maxFiles {
		return fmt.Errorf("%w: %d variants, %d files", ErrBundle, len(m.Variants), len(m.Files))
	}
	seen := make(map[string]bool)
	for _, f := range m.Files {
		if !safeName(f.Name) || seen[f.Name] {
			return fmt.Errorf("%w: file name %.100q", ErrBundle, f.Name)
		}
		seen[f.Name] = true
		if f.Size < 0 || f.Size > maxFileSize {
			return fmt.Errorf("%w: %s has more than %s", ErrBundle, f.Name, size.Text(maxFileSize))
		}
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 {
			return fmt.Errorf("%w: %s: SHA-256 is not 64 hexadecimal digits", ErrBundle, f.Name)
		}
	}
	if !seen[NameFirmware] || !seen[NameLaunchConfig] {
		return fmt.Errorf("%w: %s or %s is missing", ErrBundle, NameFirmware, NameLaunchConfig)
	}
	for _, name := range []string{NameIDBlock, NameIDAuth} {
		switch {
		case m.Unsigned && seen[name]:
			return fmt.Errorf("%w: it has %s, as bundles have that a service has signed", ErrBundle, name)
		case !m.Unsigned && !seen[name]:
			return fmt.Errorf("%w: %s is missing", ErrBundle, name)
		}
	}
	return nil
}

// safeName accepts a file at the top or one level below, of harmless
// characters, and neither the manifest nor its signature.
func safeName(name string) bool {
	if name == NameManifest || name == NameSignature || len(name) > 255 {
		return false
	}
	dir, base := path.Split(name)
	if dir != "" && dir != variantsDir+"/" || base == "" || strings.HasPrefix(base, ".") {
		return false
	}
	for _, c := range base {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)
		if !ok {
			return false
		}
	}
	return true
}

// Limits on what is read, in bytes and files.
const (
	maxManifest  = 1 << 20
	maxFiles     = 4096
	maxFileSize  = 4 << 30
	maxTotalSize = 8 << 30
)
