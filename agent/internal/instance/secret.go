package instance

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/reencrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/superblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// checkGolden wants the measured file system under the golden key before anything is
// claimed: a disk that is none would use the instance up.
func (f *First) checkGolden(context.Context) error {
	cipher, err := xts.New(f.Grant.Golden, f.volume.SectorSize)
	if err != nil {
		return err
	}
	defer cipher.Wipe()
	return superblock.Check(goldenReader{f.volume, cipher}, f.Config.Root.Filesystem, f.Config.Root.FilesystemUUID)
}

// goldenReader reads the payload of a golden disk in clear.
type goldenReader struct {
	volume reencrypt.Volume
	cipher *xts.Cipher
}

// ReadAt reads a few bytes: those of a super block.
func (g goldenReader) ReadAt(p []byte, off int64) (int, error) {
	sector := int64(g.volume.SectorSize)
	first, last := off/sector*sector, (off+int64(len(p))+sector-1)/sector*sector
	if last > g.volume.PayloadSize {
		return 0, io.ErrUnexpectedEOF
	}
	b := make([]byte, last-first)
	if _, err := g.volume.Device.ReadAt(b, g.volume.PayloadOffset+first); err != nil {
		return 0, err
	}
	g.cipher.Decrypt(b, b, first)
	return copy(p, b[off-first:]), nil
}

// makeSecret makes the guest's half of the volume key, and seals it so that the service
// alone can open it, and for this instance alone.
func (f *First) makeSecret(context.Context) error {
	key, err := seal.ParsePublicKey(f.Config.UnsealingKey)
	if err != nil {
		return fmt.Errorf("measured unsealing key: %w", err)
	}
	f.secret = make([]byte, wire.GuestSecretSize)
	rand.Read(f.secret)
	if f.sealed, err = key.Seal(wire.GuestSecretInfo(f.Config.ImageID, f.Grant.Instance), f.secret); err != nil {
		return err
	}
	f.volume.Sealed = sha256.Sum256(f.sealed)
	return nil
}

// writeRecords writes both copies of the instance record over whatever is there: of a new
// instance no record counts. They are durable before the claim.
func (f *First) writeRecords(context.Context) error {
	record, err := instancedisk.EncodeRecord(f.id(), f.sealed)
	if err != nil {
		return err
	}
	for copyNumber := range 2 {
		if err := f.write(instancedisk.RecordAt(copyNumber), record); err != nil {
			return err
		}
	}
	return nil
}

func (f *First) begin(context.Context) error { return f.volume.Begin(f.Grant.Golden) }
