package reencrypt

import (
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Device is the root partition. What was written before Flush is durable when Flush has
// returned nil; of the rest a power cut keeps any part, sector by sector. It is read while it is written.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Flush() error
}

// Volume is the disk of one instance. All but the device comes from the measured
// configuration, the report and the kernel, never from the disk's headers.
type Volume struct {
	Device        Device
	PayloadOffset int64 // in the partition, in bytes, at least instancedisk.End
	PayloadSize   int64 // in bytes, whole sectors
	SectorSize    int   // of the encryption, xts.SmallSector or xts.LargeSector
	Image         wire.UUID
	Instance      wire.UUID
	Sealed        [32]byte // SHA-256 of the sealed guest secret, by which the instance is claimed

	chunk int64 // zero is maxChunk; tests have smaller ones
}

// maxChunk is the most that is under way in one record, in bytes.
const maxChunk = instancedisk.BufferSize

// Errors of Resume. Nothing has been written then.
var (
	ErrNoJournal = errors.New("the journal of the re-encryption has no valid record")
	ErrJournal   = errors.New("the journal of the re-encryption was changed")
)

// errVolume is a disk that cannot be one of an instance.
var errVolume = errors.New("bad volume")

func (v Volume) check() error {
	sector := int64(v.SectorSize)
	switch {
	case sector != xts.SmallSector && sector != xts.LargeSector:
		return fmt.Errorf("%w: sectors of %d bytes", errVolume, sector)
	case v.PayloadOffset < instancedisk.End || v.PayloadOffset > 1<<40:
		return fmt.Errorf("%w: payload at %d", errVolume, v.PayloadOffset)
	case v.PayloadSize <= 0 || v.PayloadSize%sector != 0 || v.PayloadSize > 1<<62:
		return fmt.Errorf("%w: payload of %d bytes, sectors of %d", errVolume, v.PayloadSize, sector)
	}
	return nil
}

func (v Volume) id() instancedisk.ID {
	return instancedisk.ID{Image: v.Image, Instance: v.Instance}
}

// Begin writes the first record of the journal and makes it durable. It is called
// once the instance record is, and before the claim: a claimed instance has a journal.
// golden is the image's VMK.
func (v Volume) Begin(golden []byte) error {
	if err := v.check(); err != nil {
		return err
	}
	key, err := wire.JournalStartKey(golden)
	if err != nil {
		return err
	}
	defer clear(key)
	start := instancedisk.JournalRecord{Kind: instancedisk.Start, Sealed: v.Sealed}
	err = v.write(instancedisk.JournalAt(0), instancedisk.EncodeJournal(v.id(), start, key))
	if err == nil { // nothing of an earlier life beside it
		err = v.write(instancedisk.JournalAt(1), make([]byte, instancedisk.JournalSize))
	}
	if err != nil {
		return fmt.Errorf("begin journal: %w", err)
	}
	return v.flush()
}

func (v Volume) write(at int64, b []byte) error {
	_, err := v.Device.WriteAt(b, at)
	return err
}

func (v Volume) flush() error {
	if err := v.Device.Flush(); err != nil {
		return fmt.Errorf("flush disk: %w", err)
	}
	return nil
}
