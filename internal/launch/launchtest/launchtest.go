// Package launchtest makes launch bundles for tests, as a service would, without
// a service: real firmware, real measurements, real signatures by public keys.
package launchtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Release is what a bundle is made from. Zero fields have defaults that can be
// launched.
type Release struct {
	Kernel, Initrd []byte
	Cmdline        string
	Variants       []measure.VCPUs // default 2xEPYC-Milan
	Policy         idblock.GuestPolicy
	Genuine        bool // not registered with a simulated AMD

	Unsigned bool // as of a conversion without encryption

	// Change, when not nil, may spoil the release before it is signed.
	Change func(*bundle.Release)
}

// image is the UUID of every image here.
func image() wire.UUID { return wire.UUID{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47, 0x88, 0x89} }

// Identity is the key that signs bundles here.
func Identity() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// Firmware returns Debian's AmdSev build of OVMF.
func Firmware(tb testing.TB) []byte {
	tb.Helper()
	return vectors.MustRead(tb, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd")
}

// VCPUs returns a variant by count and type.
func VCPUs(tb testing.TB, count int, vcpuType string) measure.VCPUs {
	tb.Helper()
	t, err := measure.ParseVCPUType(vcpuType)
	if err != nil {
		tb.Fatal(err)
	}
	return measure.VCPUs{Count: count, Type: t}
}

// Bundle returns a signed bundle, tar.gz, or an unsigned one, tar.
func Bundle(tb testing.TB, r Release) []byte {
	tb.Helper()
	if r.Variants == nil {
		r.Variants = []measure.VCPUs{VCPUs(tb, 2, "EPYC-Milan")}
	}
	if r.Policy == 0 {
		r.Policy = idblock.DefaultPolicy
	}
	firmware := Firmware(tb)
	out := bundle.Release{
		Image: image(), Release: wire.UUID{2}, ImageName: "debian <&> 13", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Simulated: !r.Genuine, Policy: uint64(r.Policy), Cmdline: r.Cmdline,
		Firmware: blob(firmware), Kernel: blob(r.Kernel), Initrd: blob(r.Initrd),
	}
	parsed, err := measure.ParseFirmware(firmware)
	if err != nil {
		tb.Fatal(err)
	}
	hashes, err := measure.HashKernel(bytes.NewReader(r.Kernel), bytes.NewReader(r.Initrd), r.Cmdline)
	if err != nil {
		tb.Fatal(err)
	}
	launch, err := measure.New(measure.Config{Firmware: parsed, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures})
	if err != nil {
		tb.Fatal(err)
	}
	for _, v := range r.Variants {
		digest, err := launch.Digest(v)
		if err != nil {
			tb.Fatal(err)
		}
		out.Variants = append(out.Variants, variant(tb, v, digest, r.Policy))
	}
	if r.Change != nil {
		r.Change(&out)
	}
	var b bytes.Buffer
	if r.Unsigned {
		if err := bundle.WriteUnsigned(&b, out); err != nil {
			tb.Fatal(err)
		}
		return b.Bytes()
	}
	if err := bundle.Write(&b, out, Identity(), bundle.TarGz); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func variant(tb testing.TB, v measure.VCPUs, digest measure.Digest, policy idblock.GuestPolicy) bundle.ReleaseVariant {
	tb.Helper()
	block := idblock.IDBlock{LaunchDigest: digest, FamilyID: image(), ImageID: wire.UUID{2}, Version: idblock.Version, Policy: policy}
	auth, err := idblock.Sign(block, key(tb, 1), key(tb, 2))
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := auth.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return bundle.ReleaseVariant{VCPUs: v.Count, VCPUType: v.Type.Name, Measurement: digest, IDBlock: block.Bytes(), IDAuth: encoded}
}

// key returns a P-384 key that everybody knows.
func key(tb testing.TB, n byte) *ecdsa.PrivateKey {
	tb.Helper()
	scalar := make([]byte, 48)
	scalar[47] = n
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), scalar)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func blob(data []byte) bundle.Blob {
	return bundle.Blob{
		Size: int64(len(data)), SHA256: sha256.Sum256(data),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}
