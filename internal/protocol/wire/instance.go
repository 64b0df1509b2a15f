package wire

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// Sizes of an instance's secrets in bytes.
const (
	GuestSecretSize = 32 // what the guest makes at its first boot, and the disk keeps sealed
	KeyShareSize    = 32 // what the service makes, and keeps in the instance's row

	// SealedGuestSecretSize is a guest secret sealed to the image's unsealing key.
	SealedGuestSecretSize = EncSize + GuestSecretSize + tagSize
)

// MACSize is that of the codes of generations, HMAC-SHA-256, in bytes.
const MACSize = sha256.Size

// Domain tags of instances (docs/protocol.md, "Instances").
const (
	tagVolumeKey       = "snpguard/v1/volume-key"
	tagGuestSecret     = "snpguard/v1/guest-secret"
	tagInstanceDisk    = "snpguard/v1/instance-disk"
	tagShare           = "snpguard/v1/key-share"
	tagReceipt         = "snpguard/v1/claim-receipt"
	tagGenerationKey   = "snpguard/v1/generation-key"
	tagGeneration      = "snpguard/v1/generation"
	tagJournalKey      = "snpguard/v1/journal-key"
	tagJournalStartKey = "snpguard/v1/journal-start-key"
)

// VolumeKey derives the volume key of an instance, VMKSize bytes, from the guest's
// secret and the service's share: HKDF-SHA-512 (RFC 5869) with the share as salt.
// Neither is enough alone, and destroying the share destroys the key. It fails when
// one of them has another size, since HMAC takes a short salt for one that ends in
// zeros.
func VolumeKey(secret, share []byte, image, instance UUID) ([]byte, error) {
	if len(secret) != GuestSecretSize || len(share) != KeyShareSize {
		return nil, fmt.Errorf("derive volume key: secret of %d bytes and share of %d, want %d and %d",
			len(secret), len(share), GuestSecretSize, KeyShareSize)
	}
	key, err := hkdf.Key(sha512.New, secret, share, string(transcript(tagVolumeKey, image[:], instance[:])), VMKSize)
	if err != nil {
		return nil, fmt.Errorf("derive volume key: %w", err)
	}
	return key, nil
}

// GuestSecretInfo is HPKE's info for the guest secret that the disk keeps.
func GuestSecretInfo(image, instance UUID) []byte {
	return transcript(tagGuestSecret, image[:], instance[:])
}

// ShareInfo is HPKE's info for the service's share on its way to the guest that claims.
func ShareInfo(reportData [64]byte) []byte { return transcript(tagShare, reportData[:]) }

// ReceiptTranscript returns what the service's identity key signs when an instance is
// claimed: that its guest secret is the one whose sealed form has this SHA-256.
func ReceiptTranscript(image, instance UUID, sealed [32]byte) []byte {
	return transcript(tagReceipt, image[:], instance[:], sealed[:])
}

// GenerationMAC authenticates the generation of an instance, a number that each boot
// raises by one, with a key derived from the volume key.
func GenerationMAC(volumeKey []byte, image, instance UUID, generation uint64) ([MACSize]byte, error) {
	key, err := subkey(volumeKey, tagGenerationKey)
	if err != nil {
		return [MACSize]byte{}, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(transcript(tagGeneration, image[:], instance[:], binary.BigEndian.AppendUint64(nil, generation)))
	return [MACSize]byte(mac.Sum(nil)), nil
}

// JournalKey derives from the volume key the key, 32 bytes, that authenticates the
// journal of a re-encryption.
func JournalKey(volumeKey []byte) ([]byte, error) { return subkey(volumeKey, tagJournalKey) }

// JournalStartKey derives from the golden key, the image's VMK, the key, 32 bytes,
// that authenticates a journal's first record: it is written before the instance is
// claimed, when the guest has no share and thus no volume key.
func JournalStartKey(goldenKey []byte) ([]byte, error) { return subkey(goldenKey, tagJournalStartKey) }

// subkey derives a key of 32 bytes from a volume key, whose bytes are uniformly random.
func subkey(volumeKey []byte, tag string) ([]byte, error) {
	if len(volumeKey) != VMKSize {
		return nil, fmt.Errorf("derive key: volume key of %d bytes, want %d", len(volumeKey), VMKSize)
	}
	key, err := hkdf.Expand(sha512.New, volumeKey, string(transcript(tag)), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}
