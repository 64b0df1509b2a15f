package launchtest

import "slices"

// Ending is how a guest ends.
type Ending int

// The ways in which the kernels here end.
const (
	PowerOff Ending = iota
	Reset           // as after a panic
	Hang
)

// Where things are in a bzImage (Linux, Documentation/arch/x86/boot.rst).
const (
	offsetSetupSects = 0x1F1
	offsetBootFlag   = 0x1FE
	offsetJump       = 0x200 // real-mode entry point, CS:0
	offsetMagic      = 0x202
	offsetVersion    = 0x206
	offsetLoadFlags  = 0x211
	offsetCode       = 0x280
	sectorSize       = 512
	setupSects       = 2
)

// Kernel returns a kernel that any QEMU boots with -kernel in a moment: it prints a
// message of at most 200 bytes on the first serial port and ends.
func Kernel(message string, ending Ending) []byte {
	image := make([]byte, (1+setupSects+1)*sectorSize)
	image[offsetSetupSects] = setupSects
	copy(image[offsetBootFlag:], []byte{0x55, 0xAA})
	copy(image[offsetJump:], []byte{0xEB, offsetCode - offsetJump - 2}) // jmp
	copy(image[offsetMagic:], "HdrS")
	copy(image[offsetVersion:], []byte{0x02, 0x02}) // protocol 2.02
	image[offsetLoadFlags] = 1                      // LOADED_HIGH
	code := []byte{
		0xBE, 0, 0, // mov si, message
		0xBA, 0xF8, 0x03, // mov dx, 0x3f8
		0x2E, 0xAC, // next: cs lodsb
		0x84, 0xC0, // test al, al
		0x74, 0x03, // jz end
		0xEE,       // out dx, al
		0xEB, 0xF7, // jmp next
	}
	end := map[Ending][]byte{
		PowerOff: {0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF}, // PM1a_CNT of q35 at 0x604: SLP_EN, S5
		Reset:    {0xBA, 0xF9, 0x0C, 0xB0, 0x06, 0xEE},       // reset control register at 0xcf9
		Hang:     {},
	}[ending]
	code = slices.Concat(code, end, []byte{0xEB, 0xFE}) // jmp $
	at := offsetCode - offsetJump + len(code)
	code[1], code[2] = byte(at), byte(at>>8)
	copy(image[offsetCode:], slices.Concat(code, []byte(message), []byte{0}))
	return image
}
