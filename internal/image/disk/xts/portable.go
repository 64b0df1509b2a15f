package xts

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// portable works everywhere. Tests hold the assembly against it.
type portable struct {
	data, tweak cipher.Block
	sectorSize  int
}

func newPortable(key []byte, sectorSize int) (portable, error) {
	data, err := aes.NewCipher(key[:aesKey])
	if err != nil {
		return portable{}, fmt.Errorf("expand data key: %w", err)
	}
	tweak, err := aes.NewCipher(key[aesKey:])
	if err != nil {
		return portable{}, fmt.Errorf("expand tweak key: %w", err)
	}
	return portable{data, tweak, sectorSize}, nil
}

func (p portable) encrypt(dst, src []byte, iv uint64) { p.sectors(dst, src, iv, p.data.Encrypt) }

func (p portable) decrypt(dst, src []byte, iv uint64) { p.sectors(dst, src, iv, p.data.Decrypt) }

func (portable) wipe() {}

// sectors runs one direction of AES over sectors from iv on.
func (p portable) sectors(dst, src []byte, iv uint64, run func(dst, src []byte)) {
	tweak := make([]byte, blockSize)
	for len(src) > 0 {
		binary.LittleEndian.PutUint64(tweak, iv)
		binary.LittleEndian.PutUint64(tweak[8:], 0)
		p.tweak.Encrypt(tweak, tweak)
		sector(dst[:p.sectorSize], src[:p.sectorSize], tweak, run)
		dst, src = dst[p.sectorSize:], src[p.sectorSize:]
		iv += uint64(p.sectorSize) / ivUnit
	}
}

// sector runs AES over one sector whose first block has the given tweak; each
// further tweak is the one before times x in GF(2^128) (IEEE Std 1619, 5.2).
func sector(dst, src, tweak []byte, run func(dst, src []byte)) {
	low, high := binary.LittleEndian.Uint64(tweak), binary.LittleEndian.Uint64(tweak[8:])
	for len(src) > 0 {
		whiten(dst, src, low, high)
		run(dst[:blockSize], dst[:blockSize])
		whiten(dst, dst, low, high)
		carry := high >> 63
		low, high = low<<1^0x87&-carry, high<<1|low>>63
		dst, src = dst[blockSize:], src[blockSize:]
	}
}

// whiten adds the tweak to one block.
func whiten(dst, src []byte, low, high uint64) {
	binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^low)
	binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:])^high)
}
