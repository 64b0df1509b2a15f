// Package dmcrypt makes the dm-crypt device of the root file system by the
// kernel's ioctl. Everything but the volume key comes from the measured
// configuration; the LUKS2 header on the disk is not read, so that nothing in
// it, such as a null cipher, can have an effect.
package dmcrypt

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// sector is device-mapper's unit in bytes.
const sector = 512

// uuid is the device's in device-mapper. The prefix CRYPT- tells udev, systemd
// and lsblk what it is; PLAIN keeps cryptsetup, when something in the guest asks
// it about the device, from reading the header that a host could have changed.
const uuid = "CRYPT-PLAIN-" + bootconf.MapperName

// Control is /dev/mapper/control; [Open] returns the real one.
type Control interface {
	// Call does one ioctl. The kernel answers into the arguments.
	Call(command uint, arguments []byte) error
}

// Target is what is opened, and how.
type Target struct {
	Major, Minor  uint32 // of the partition
	Size          int64  // of the partition, bytes
	PayloadOffset int64  // of the ciphertext, bytes
	Cipher        string
	SectorSize    int // of the encryption, bytes
	AllowDiscards bool
}

// Device is a dm-crypt device.
type Device struct {
	Major, Minor uint32
}

// Name returns the kernel's name of the device, such as "dm-0".
func (d Device) Name() string { return fmt.Sprintf("dm-%d", d.Minor) }

// sectors returns the length of the payload in units of 512 bytes, down to
// whole sectors of the encryption.
func (t Target) sectors() (uint64, error) {
	payload := t.Size - t.PayloadOffset
	if t.SectorSize <= 0 || payload < int64(t.SectorSize) {
		return 0, fmt.Errorf("partition of %d bytes is too small for a payload at %d", t.Size, t.PayloadOffset)
	}
	return uint64(payload/int64(t.SectorSize)) * uint64(t.SectorSize) / sector, nil
}

// params returns the text of the table (Linux,
// Documentation/admin-guide/device-mapper/dm-crypt.rst). The caller wipes it.
func (t Target) params(key []byte) []byte {
	text := make([]byte, 0, 512) // large enough: growing would leave a copy of the key behind
	text = append(text, t.Cipher...)
	text = append(text, ' ')
	text = hex.AppendEncode(text, key)
	text = fmt.Appendf(text, " 0 %d:%d %d", t.Major, t.Minor, t.PayloadOffset/sector)
	options := []string{fmt.Sprintf("sector_size:%d", t.SectorSize)}
	if t.AllowDiscards {
		options = append(options, "allow_discards")
	}
	text = fmt.Appendf(text, " %d", len(options))
	for _, o := range options {
		text = append(text, ' ')
		text = append(text, o...)
	}
	return text
}

// Create makes the device named bootconf.MapperName. When a step fails, what was
// made is removed. It wipes its copies of the key; the caller wipes its own.
func Create(c Control, t Target, key []byte) (Device, error) {
	sectors, err := t.sectors()
	if err != nil {
		return Device{}, err
	}
	create, err := message(bootconf.MapperName, uuid, 0)
	if err != nil {
		return Device{}, err
	}
	if err := c.Call(commandCreate, create); err != nil {
		return Device{}, fmt.Errorf("create device-mapper device: %w", err)
	}
	if err := activate(c, t, sectors, key); err != nil {
		return Device{}, errors.Join(err, Remove(c))
	}
	major, minor := deviceNumber(create)
	return Device{major, minor}, nil
}

// activate loads the table and starts the device.
func activate(c Control, t Target, sectors uint64, key []byte) error {
	params := t.params(key)
	defer clear(params)
	load, err := tableMessage(bootconf.MapperName, sectors, params)
	if err != nil {
		return err
	}
	defer clear(load)
	if err := c.Call(commandLoad, load); err != nil {
		return fmt.Errorf("load dm-crypt table: %w", err)
	}
	resume, err := message(bootconf.MapperName, "", 0)
	if err != nil {
		return err
	}
	if err := c.Call(commandResume, resume); err != nil {
		return fmt.Errorf("start dm-crypt device: %w", err)
	}
	return nil
}

// Remove takes the device away, and with it the kernel's copy of the key.
func Remove(c Control) error {
	remove, err := message(bootconf.MapperName, "", 0)
	if err != nil {
		return err
	}
	if err := c.Call(commandRemove, remove); err != nil {
		return fmt.Errorf("remove device-mapper device: %w", err)
	}
	return nil
}
