package luks2

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"io"
)

// The digest by which cryptsetup knows the right volume key. A key of 512
// random bits needs no stretching: cryptsetup's own minimum will do.
const (
	digestIterations = 1000
	digestSaltSize   = 32
)

// Encode returns Size bytes, both copies of the header, for the partition's
// start: a volume with the given UUID, a VMK of VMKSize bytes and an encryption in
// sectors of 512 or 4096 bytes. The salts come from random (crypto/rand.Reader but
// for tests); the VMK itself is not in the header. Between the copies and PayloadOffset the partition has to be zero, or
// hold what docs/disk-format.md puts there.
func Encode(uuid [16]byte, vmk []byte, sectorSize int, random io.Reader) ([]byte, error) {
	if len(vmk) != VMKSize {
		return nil, fmt.Errorf("encode LUKS2 header: VMK of %d bytes, not %d", len(vmk), VMKSize)
	}
	if !encoded(sectorSize) {
		return nil, fmt.Errorf("encode LUKS2 header: sectors of %d bytes, neither 512 nor 4096", sectorSize)
	}
	salts := make([]byte, digestSaltSize+2*saltSize)
	if _, err := io.ReadFull(random, salts); err != nil {
		return nil, fmt.Errorf("read random salts: %w", err)
	}
	salt, salts := salts[:digestSaltSize], salts[digestSaltSize:]
	sum, err := pbkdf2.Key(sha256.New, string(vmk), salt, digestIterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("compute digest of VMK: %w", err)
	}
	m, err := encodeMetadata(sectorSize, digest{
		Type: "pbkdf2", Keyslots: []string{}, Segments: []string{"0"},
		Hash: "sha256", Iterations: digestIterations, Salt: salt, Digest: sum,
	})
	if err != nil {
		return nil, fmt.Errorf("encode LUKS2 metadata: %w", err)
	}
	primary := encodeCopy(0, uuid, salts[:saltSize], m)
	return append(primary, encodeCopy(CopySize, uuid, salts[saltSize:], m)...), nil
}
