// Package luks2 writes the LUKS2 header of an encrypted root, for cryptsetup
// and its users, and reads such headers for people who ask what an image is
// (LUKS2 On-Disk Format Specification 1.1.2; docs/disk-format.md).
//
// Encode makes both copies of the header for one shape of disk: no keyslots,
// one segment of aes-xts-plain64 that begins at PayloadOffset, in sectors of 512
// or 4096 bytes. Parse reads what
// Encode or cryptsetup wrote. A header is not authenticated: the agent never
// reads it, and nothing may be decided by it that an attacker should not
// decide.
package luks2

import "errors"

// Offsets in bytes from the partition's start, and sizes in bytes.
const (
	CopySize      = 16 << 10     // one copy of the header: binary part and JSON
	Size          = 2 * CopySize // both, at the partition's start
	KeyslotsEnd   = 8 << 20      // cryptsetup writes keyslots between Size and here
	PayloadOffset = 16 << 20     // of the first encrypted sector
	VMKSize       = 64           // the volume key: AES-256 in XTS mode
)

// label is that of every disk that SnpGuard encrypts.
const label = "snpguard-root"

// Cipher is the encryption of the payload, in the words of dm-crypt.
const Cipher = "aes-xts-plain64"

// Errors of Parse.
var (
	ErrNotLUKS = errors.New("no LUKS header")
	ErrHeader  = errors.New("LUKS header is damaged or not supported")
)

// Header is what people want to know of a LUKS2 header.
type Header struct {
	UUID          [16]byte // of the LUKS volume
	Label         string   // printable, at most 48 bytes
	Sequence      uint64   // counts the changes
	KeyslotsEnd   int64    // end of the keyslots area, from the partition's start
	PayloadOffset int64    // of the encrypted data, likewise
	Cipher        string   // printable, such as "aes-xts-plain64"
	SectorSize    int      // of the encryption: 512, 1024, 2048 or 4096
	Keyslots      int      // how many there are
}

// Converted reports whether the disk looks as Encode leaves it, apart from
// keyslots that somebody added.
func (h *Header) Converted() bool {
	return h.Label == label && h.KeyslotsEnd == KeyslotsEnd && h.PayloadOffset == PayloadOffset &&
		h.Cipher == Cipher && encoded(h.SectorSize)
}

// encoded reports whether Encode makes headers of such sectors.
func encoded(sectorSize int) bool { return sectorSize == 512 || sectorSize == 4096 }
