package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Image returns an image as no other is.
func Image(name string) store.Image {
	i := store.Image{
		ID: wire.NewUUID(), Name: name, Labels: map[string]string{}, Enabled: true,
		IDKeySealed: []byte("sealed ID key"), AuthorKeySealed: []byte("sealed author key"),
		UnsealingKeySealed: []byte("sealed unsealing key"), Policy: []byte(`{"version":1}`),
	}
	i.UnsealingKeyHash = sha256.Sum256(i.ID[:])
	copy(i.IDKeyDigest[:], i.ID[:])
	copy(i.AuthorKeyDigest[32:], i.ID[:])
	return i
}

// Named is of images whose instances are created.
func Named() wire.InstanceSettings {
	return wire.InstanceSettings{Mode: wire.InstancesNamed, Generation: wire.GenerationReport}
}

// Auto is of images of which two instances may make themselves.
func Auto() wire.InstanceSettings {
	return wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 2, Generation: wire.GenerationEnforce}
}

// Instance returns an instance as no other is, to be created.
func Instance(image wire.UUID, name string) store.Instance {
	i := store.Instance{ID: wire.NewUUID(), Image: image, Name: name, CreatedBy: Approver}
	i.ShareSealed = append([]byte("sealed share "), i.ID[:]...)
	return i
}

// Proposer is the party that proposes releases in tests, and Approver another one.
const (
	Proposer = "token 1 (packer)"
	Approver = "token 2 (release manager)"
)

// Release returns a release of two variants whose artifacts have the given names.
func Release(firmware, kernel, initrd string) store.Release {
	return store.Release{
		ID: wire.NewUUID(), ProposedBy: Proposer, Cmdline: "root=/dev/mapper/cryptroot",
		Firmware: Artifact(firmware), Kernel: Artifact(kernel), Initrd: Artifact(initrd),
		Findings:    []byte("null"),
		GuestPolicy: 1<<63 | 0x30000, GuestSVN: 1<<32 - 1,
		Variants: []store.Variant{Variant(4, "EPYC-Milan"), Variant(1, "EPYC-Genoa")},
	}
}

// Variant returns a variant.
func Variant(vcpus int, name string) store.Variant {
	v := store.Variant{
		VCPUs: vcpus, VCPUType: name, Signature: 0xFF800F12,
		IDBlock: make([]byte, store.IDBlockSize), IDAuth: make([]byte, store.IDAuthSize),
	}
	copy(v.Measurement[:], fmt.Sprintf("%d x %s", vcpus, name))
	v.IDBlock[95], v.IDAuth[4095] = byte(vcpus), byte(vcpus)
	return v
}

// Artifact names an artifact.
func Artifact(name string) store.ArtifactRef {
	return store.ArtifactRef{SHA256: sha256.Sum256([]byte(name)), Size: int64(len(name))}
}

// Present says that every artifact is there.
func Present(context.Context, store.ArtifactRef) (bool, error) { return true, nil }

// Standing returns an image and its release, of which all unlocks are that Granted
// returns.
func Standing() (store.Image, store.Release) {
	image, release := Image("standing"), Release("standing firmware", "standing kernel", "standing initrd")
	image.ID, release.ID = wire.UUID{15: 1}, wire.UUID{15: 2}
	image.IDKeyDigest = [48]byte([]byte("standing, whose digests are the same in every test"))
	image.AuthorKeyDigest = image.IDKeyDigest
	return image, release
}

// OpenStanding opens the database until the test ends, and registers Standing if
// it is not there.
func (d Database) OpenStanding(tb testing.TB, options ...store.Options) *store.Store {
	tb.Helper()
	s := d.Open(tb, options...)
	if err := stand(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
	return s
}

func stand(ctx context.Context, s *store.Store) error {
	image, release := Standing()
	_, _, err := s.CreateImage(ctx, image, release, Present)
	if errors.Is(err, store.ErrNameTaken) {
		return nil
	}
	return err
}

// create registers an image with one release.
func create(t *testing.T, s *store.Store, image store.Image, release store.Release) (store.Image, store.Release) {
	t.Helper()
	image, release, err := s.CreateImage(t.Context(), image, release, Present)
	if err != nil {
		t.Fatal(err)
	}
	return image, release
}

func ptr[T any](v T) *T { return &v }
