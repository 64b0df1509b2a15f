package guesttest

import (
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Secret is the guest secret of an instance: what its guest makes at its first boot.
type Secret struct {
	Secret []byte
	Sealed []byte // as the disk keeps it
}

// Hash is what an instance is claimed by.
func (s *Secret) Hash() [32]byte { return sha256.Sum256(s.Sealed) }

// NewSecret makes a guest secret for an instance. Anyone can who has the image.
func (i *Image) NewSecret(tb testing.TB, instance wire.UUID) *Secret {
	tb.Helper()
	s := &Secret{Secret: make([]byte, wire.GuestSecretSize)}
	rand.Read(s.Secret)
	var err error
	if s.Sealed, err = i.Unsealing.Public().Seal(wire.GuestSecretInfo(i.ID, instance), s.Secret); err != nil {
		tb.Fatal(err)
	}
	return s
}

// VolumeKey derives the key of an instance of the image.
func (i *Image) VolumeKey(tb testing.TB, instance wire.UUID, s *Secret, share []byte) []byte {
	tb.Helper()
	key, err := wire.VolumeKey(s.Secret, share, i.ID, instance)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Generation returns what the disk of an instance keeps of a generation.
func (i *Image) Generation(tb testing.TB, instance wire.UUID, volumeKey []byte, number uint64) wire.Generation {
	tb.Helper()
	mac, err := wire.GenerationMAC(volumeKey, i.ID, instance, number)
	if err != nil {
		tb.Fatal(err)
	}
	return wire.Generation{Number: number, MAC: mac[:]}
}
