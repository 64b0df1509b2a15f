//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// Registers of both directions:
//   AX  round keys of the data key    BX  round keys of the tweak key
//   DI  output   SI  input   DX  bytes left   CX  bytes left in the sector
//   R8  tweaks of the eight blocks in flight  R9  room for those of the next
//   R10 IV   R12 size of a sector   R13 its size in units of the IV
//   X0 to X7 blocks   X8 round key   X9 last tweak   X10 polynomial   X11 scratch

// One round of eight blocks with the round key at offset key from AX.
#define ROUND(OP, key) \
	VMOVDQU key(AX), X8; \
	OP X8, X0, X0; \
	OP X8, X1, X1; \
	OP X8, X2, X2; \
	OP X8, X3, X3; \
	OP X8, X4, X4; \
	OP X8, X5, X5; \
	OP X8, X6, X6; \
	OP X8, X7, X7

// The tweak X9 times x in GF(2^128), little-endian: shift both halves left,
// carry bit 63 into the upper one and bit 127 back as 0x87.
#define DOUBLE \
	VPSHUFD $0x13, X9, X11; \
	VPSRAD $31, X11, X11; \
	VPAND X10, X11, X11; \
	VPADDQ X9, X9, X9; \
	VPXOR X11, X9, X9

// The next tweak, kept at offset to.
#define NEXT(to) \
	DOUBLE; \
	VMOVDQU X9, to(R9)

// A block of input under its tweak and the first round key.
#define LOAD(at, x) \
	VPXOR at(R8), X8, x; \
	VPXOR at(SI), x, x

// A finished block, its tweak taken off, to output.
#define STORE(at, x) \
	VPXOR at(R8), x, x; \
	VMOVDQU x, at(DI)

// The body of a function with the frame below, for rounds OP and LAST with the keys at
// offset KEYS of the schedule.
#define SECTORS(KEYS, OP, LAST) \
	MOVQ s+0(FP), BX; \
	LEAQ KEYS(BX), AX; \
	MOVQ schedule_sectorSize(BX), R12; \
	LEAQ schedule_tweak(BX), BX; \
	MOVQ dst_base+8(FP), DI; \
	MOVQ src_base+32(FP), SI; \
	MOVQ src_len+40(FP), DX; \
	MOVQ iv+56(FP), R10; \
	MOVQ R12, R13; \
	SHRQ $const_ivShift, R13; \
	LEAQ tweaks-272(SP), R8; \
	ADDQ $15, R8; \
	ANDQ $~15, R8; \
	LEAQ 128(R8), R9; \
	MOVQ $0x87, R11; \
	VMOVQ R11, X10; \
	MOVQ $1, R11; \
	VMOVQ R11, X11; \
	VPUNPCKLQDQ X11, X10, X10; \
sector: \
	VMOVQ R10, X9; \
	VPXOR 0(BX), X9, X9; \
	VAESENC 16(BX), X9, X9; \
	VAESENC 32(BX), X9, X9; \
	VAESENC 48(BX), X9, X9; \
	VAESENC 64(BX), X9, X9; \
	VAESENC 80(BX), X9, X9; \
	VAESENC 96(BX), X9, X9; \
	VAESENC 112(BX), X9, X9; \
	VAESENC 128(BX), X9, X9; \
	VAESENC 144(BX), X9, X9; \
	VAESENC 160(BX), X9, X9; \
	VAESENC 176(BX), X9, X9; \
	VAESENC 192(BX), X9, X9; \
	VAESENC 208(BX), X9, X9; \
	VAESENCLAST 224(BX), X9, X9; \
	VMOVDQU X9, 0(R9); \
	NEXT(16); \
	NEXT(32); \
	NEXT(48); \
	NEXT(64); \
	NEXT(80); \
	NEXT(96); \
	NEXT(112); \
	MOVQ R12, CX; \
eight: \
	XCHGQ R8, R9; \
	VMOVDQU 0(AX), X8; \
	LOAD(0, X0); \
	LOAD(16, X1); \
	LOAD(32, X2); \
	LOAD(48, X3); \
	LOAD(64, X4); \
	LOAD(80, X5); \
	LOAD(96, X6); \
	LOAD(112, X7); \
	ROUND(OP, 16); \
	NEXT(0); \
	ROUND(OP, 32); \
	NEXT(16); \
	ROUND(OP, 48); \
	NEXT(32); \
	ROUND(OP, 64); \
	NEXT(48); \
	ROUND(OP, 80); \
	NEXT(64); \
	ROUND(OP, 96); \
	NEXT(80); \
	ROUND(OP, 112); \
	NEXT(96); \
	ROUND(OP, 128); \
	NEXT(112); \
	ROUND(OP, 144); \
	ROUND(OP, 160); \
	ROUND(OP, 176); \
	ROUND(OP, 192); \
	ROUND(OP, 208); \
	ROUND(LAST, 224); \
	STORE(0, X0); \
	STORE(16, X1); \
	STORE(32, X2); \
	STORE(48, X3); \
	STORE(64, X4); \
	STORE(80, X5); \
	STORE(96, X6); \
	STORE(112, X7); \
	ADDQ $128, SI; \
	ADDQ $128, DI; \
	SUBQ $128, CX; \
	JNZ eight; \
	ADDQ R13, R10; \
	SUBQ R12, DX; \
	JNZ sector; \
	RET

// func encryptSectors(s *schedule, dst, src []byte, iv uint64)
TEXT ·encryptSectors(SB), NOSPLIT, $272-64
	SECTORS(schedule_encryption, VAESENC, VAESENCLAST)

// func decryptSectors(s *schedule, dst, src []byte, iv uint64)
TEXT ·decryptSectors(SB), NOSPLIT, $272-64
	SECTORS(schedule_decryption, VAESDEC, VAESDECLAST)

// The key schedule of FIPS 197, section 5.2, 32 bytes a step.

// Each word of a plus all the words before it, and plus X3.
#define MIX(a) \
	VPSLLDQ $4, a, X4; \
	VPXOR X4, a, a; \
	VPSLLDQ $4, X4, X4; \
	VPXOR X4, a, a; \
	VPSLLDQ $4, X4, X4; \
	VPXOR X4, a, a; \
	VPXOR X3, a, a

// The round key before last in X1 and the last in X2 become the next, at CX.
#define EVEN(rcon) \
	VAESKEYGENASSIST $rcon, X2, X3; \
	VPSHUFD $0xFF, X3, X3; \
	MIX(X1); \
	VMOVDQU X1, 0(CX); \
	ADDQ $16, CX

#define ODD \
	VAESKEYGENASSIST $0, X1, X3; \
	VPSHUFD $0xAA, X3, X3; \
	MIX(X2); \
	VMOVDQU X2, 0(CX); \
	ADDQ $16, CX

#define CLEAR \
	VPXOR X1, X1, X1; \
	VPXOR X2, X2, X2; \
	VPXOR X3, X3, X3; \
	VPXOR X4, X4, X4

// func expand(keys *roundKeys, key *[aesKey]byte)
TEXT ·expand(SB), NOSPLIT, $0-16
	MOVQ keys+0(FP), CX
	MOVQ key+8(FP), SI
	VMOVDQU 0(SI), X1
	VMOVDQU 16(SI), X2
	VMOVDQU X1, 0(CX)
	VMOVDQU X2, 16(CX)
	ADDQ $32, CX
	EVEN(0x01)
	ODD
	EVEN(0x02)
	ODD
	EVEN(0x04)
	ODD
	EVEN(0x08)
	ODD
	EVEN(0x10)
	ODD
	EVEN(0x20)
	ODD
	EVEN(0x40)
	CLEAR
	RET

// func invert(decryption, encryption *roundKeys)
// In reverse order, all but the outer two through the inverse MixColumns (FIPS
// 197, section 5.3.5).
TEXT ·invert(SB), NOSPLIT, $0-16
	MOVQ decryption+0(FP), CX
	MOVQ encryption+8(FP), SI
	ADDQ $224, SI
	VMOVDQU 0(SI), X1
	VMOVDQU X1, 0(CX)
	MOVQ $13, DX
inner:
	SUBQ $16, SI
	ADDQ $16, CX
	VAESIMC 0(SI), X1
	VMOVDQU X1, 0(CX)
	DECQ DX
	JNZ inner
	VMOVDQU -16(SI), X1
	VMOVDQU X1, 16(CX)
	CLEAR
	RET
