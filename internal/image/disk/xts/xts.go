// Package xts encrypts the payload of a disk as dm-crypt does with the cipher
// aes-xts-plain64, a key of 512 bits and sectors of 512 or 4096 bytes:
// XTS-AES-256 of IEEE Std 1619-2007, where the IV of a sector is its distance
// from the payload's start in units of 512 bytes, whatever the size of a sector
// (the kernel's Documentation/admin-guide/device-mapper/dm-crypt.rst, without
// iv_large_sectors).
//
// New takes the key and the size of a sector, Encrypt and Decrypt work on whole sectors. On amd64
// processors with AES and AVX instructions it runs Go assembly with eight
// blocks in flight, elsewhere, and with the build tag purego, plain Go over
// crypto/aes. Neither branches on nor looks up memory by key or data; the
// plain Go is as constant in time as crypto/aes, which is so on all processors
// with AES instructions.
//
// XTS hides content and nothing else: who can write the disk can put back an
// older sector, exchange any 16 bytes for noise, and see which blocks changed.
package xts

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"unsafe"
)

// Sizes in bytes.
const (
	KeySize = 64 // the AES-256 key of the data, then that of the tweak

	// What one IV encrypts; dm-crypt's option sector_size.
	SmallSector = 512
	LargeSector = 4096

	blockSize = 16 // of AES
	ivShift   = 9
	ivUnit    = 1 << ivShift // what IVs count
	aesKey    = KeySize / 2
)

var (
	// errKey is a key that no volume may have.
	errKey = errors.New("bad XTS key")
	// errSectorSize is one that is neither SmallSector nor LargeSector.
	errSectorSize = errors.New("bad size of XTS sectors")
)

// core is one way to do the work. The length of src is a multiple of a sector's
// size, dst is as long, iv belongs to the first sector.
type core interface {
	encrypt(dst, src []byte, iv uint64)
	decrypt(dst, src []byte, iv uint64)
	wipe()
}

// Cipher encrypts and decrypts sectors of one size with one key. It is safe for
// concurrent use.
type Cipher struct {
	core       core
	sectorSize int
}

// New makes a Cipher of a key of KeySize bytes, which it copies, for sectors of
// SmallSector or LargeSector bytes. errKey if the key's length is another or both
// halves are the same, which breaks XTS (FIPS 140-2 implementation guidance A.9);
// errSectorSize for sectors of another size.
func New(key []byte, sectorSize int) (*Cipher, error) {
	if sectorSize != SmallSector && sectorSize != LargeSector {
		return nil, fmt.Errorf("%w: %d bytes, neither %d nor %d", errSectorSize, sectorSize, SmallSector, LargeSector)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: %d bytes, not %d", errKey, len(key), KeySize)
	}
	if subtle.ConstantTimeCompare(key[:aesKey], key[aesKey:]) == 1 {
		return nil, fmt.Errorf("%w: both halves are the same", errKey)
	}
	core, err := newCore(key, sectorSize)
	if err != nil {
		return nil, err
	}
	return &Cipher{core, sectorSize}, nil
}

// Encrypt encrypts src, whole sectors at offset bytes from the payload's start,
// into dst, which may be src. Like crypto/cipher, it panics when lengths or
// offset are no multiples of a sector's size, dst is shorter than src, the two
// overlap but do not start at the same byte, or the Cipher was wiped.
func (c *Cipher) Encrypt(dst, src []byte, offset int64) {
	if iv := c.check(dst, src, offset); len(src) > 0 {
		c.core.encrypt(dst[:len(src)], src, iv)
	}
}

// Decrypt is the inverse of Encrypt.
func (c *Cipher) Decrypt(dst, src []byte, offset int64) {
	if iv := c.check(dst, src, offset); len(src) > 0 {
		c.core.decrypt(dst[:len(src)], src, iv)
	}
}

// Wipe ends the use of a Cipher: calls after it panic, and none may be under
// way. The assembly's key schedules are overwritten; those of crypto/aes, which
// plain Go uses, are out of reach and left to the garbage collector.
func (c *Cipher) Wipe() {
	if c.core != nil {
		c.core.wipe()
		c.core = nil
	}
}

// check panics on misuse and returns the first sector's IV.
func (c *Cipher) check(dst, src []byte, offset int64) (iv uint64) {
	switch {
	case c.core == nil:
		panic("xts: used after Wipe")
	case offset < 0 || offset%int64(c.sectorSize) != 0:
		panic("xts: offset is not that of a sector")
	case len(src)%c.sectorSize != 0:
		panic("xts: input is not whole sectors")
	case len(dst) < len(src):
		panic("xts: output is shorter than input")
	case overlap(dst[:len(src)], src):
		panic("xts: output overlaps input")
	}
	return uint64(offset) / ivUnit
}

// overlap reports whether two slices of one length share memory without being
// the same.
func overlap(a, b []byte) bool {
	if len(a) == 0 || &a[0] == &b[0] {
		return false
	}
	x, y := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}
