//go:build !purego

package xts

import "golang.org/x/sys/cpu"

// newCore takes the assembly where the processor has what it needs: AES, and
// AVX for instructions with three operands.
func newCore(key []byte, sectorSize int) (core, error) {
	if !cpu.X86.HasAES || !cpu.X86.HasAVX {
		return newPortable(key, sectorSize)
	}
	s := &schedule{sectorSize: uint64(sectorSize)}
	expand(&s.encryption, (*[aesKey]byte)(key))
	invert(&s.decryption, &s.encryption)
	expand(&s.tweak, (*[aesKey]byte)(key[aesKey:]))
	return s, nil
}

// roundKeys are those of AES-256 in the order of use: the first whitening and
// fourteen rounds.
type roundKeys [15 * blockSize]byte

// schedule is the assembly's core. The size of a sector is a multiple of eight blocks.
type schedule struct {
	encryption, decryption, tweak roundKeys
	sectorSize                    uint64
}

func (s *schedule) encrypt(dst, src []byte, iv uint64) {
	encryptSectors(s, dst, src, iv)
}

func (s *schedule) decrypt(dst, src []byte, iv uint64) {
	decryptSectors(s, dst, src, iv)
}

func (s *schedule) wipe() { *s = schedule{} }

// expand computes the round keys of a key, to encrypt.
//
//go:noescape
func expand(keys *roundKeys, key *[aesKey]byte)

// invert computes the round keys of the equivalent inverse cipher from those to
// encrypt.
//
//go:noescape
func invert(decryption, encryption *roundKeys)

// encryptSectors encrypts src, whole sectors and at least one, into dst.
//
//go:noescape
func encryptSectors(s *schedule, dst, src []byte, iv uint64)

// decryptSectors is its inverse.
//
//go:noescape
func decryptSectors(s *schedule, dst, src []byte, iv uint64)
