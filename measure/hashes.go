package measure

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Hash is a SHA-256, as the SEV hashes table holds it.
type Hash [sha256.Size]byte

// String returns h as 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns what String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("hash has %d characters, want %d hexadecimal digits", len(text), hex.EncodedLen(len(h)))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// KernelHashes are the three hashes that the firmware checks before it boots a
// kernel that came from the hypervisor.
type KernelHashes struct {
	Kernel  Hash `json:"kernel"`
	Initrd  Hash `json:"initrd"`  // of no bytes when there is no initrd
	Cmdline Hash `json:"cmdline"` // of the command line and a NUL
}

// hashBufferSize is how much of a kernel or initrd is held in memory at once.
const hashBufferSize = 1 << 20

// HashKernel reads kernel and initrd to their ends, in constant memory, and
// hashes them with the command line as QEMU does: a missing initrd (nil) counts
// as an empty one and the command line ends with a NUL. It refuses a command
// line that contains a NUL, since QEMU would hash only what precedes it, and with
// ErrContainer a disk image in place of a kernel or initrd.
func HashKernel(kernel, initrd io.Reader, cmdline string) (KernelHashes, error) {
	var h KernelHashes
	if i := bytes.IndexByte([]byte(cmdline), 0); i >= 0 {
		return h, fmt.Errorf("%w: command line has a NUL at byte %d", ErrConfig, i)
	}
	var err error
	if h.Kernel, err = hashReader(kernel); err != nil {
		return h, fmt.Errorf("read kernel: %w", err)
	}
	if initrd == nil {
		initrd = bytes.NewReader(nil)
	}
	if h.Initrd, err = hashReader(initrd); err != nil {
		return h, fmt.Errorf("read initrd: %w", err)
	}
	h.Cmdline = sha256.Sum256(append([]byte(cmdline), 0))
	return h, nil
}

func hashReader(r io.Reader) (Hash, error) {
	r, err := RawReader(r)
	if err != nil {
		return Hash{}, err
	}
	sum := sha256.New()
	// The wrapper hides ReadFrom and WriteTo, which choose their own buffers.
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{r}, make([]byte, hashBufferSize)); err != nil {
		return Hash{}, err
	}
	return Hash(sum.Sum(nil)), nil
}

// Layout of the SEV hashes table (QEMU, target/i386/sev.c: SevHashTable,
// SevHashTableEntry, PaddedSevHashTable). It is GUID, 16-bit length, then
// three entries of GUID, 16-bit length and hash, padded to 16 bytes.
const (
	hashEntrySize       = 16 + 2 + sha256.Size
	hashTableSize       = 16 + 2 + 3*hashEntrySize
	hashTablePaddedSize = (hashTableSize + 15) &^ 15
)

func hashHeaderGUID() guid  { return makeGUID(0x9438d606, 0x4f22, 0x4cc9, 0xb479_a793d411fd21) } // SEV_HASH_TABLE_HEADER_GUID
func cmdlineGUID() guid     { return makeGUID(0x97d02dd8, 0xbd20, 0x4c94, 0xaa78_e7714d36ab2a) } // SEV_CMDLINE_ENTRY_GUID
func initrdGUID() guid      { return makeGUID(0x44baf731, 0x3a2f, 0x4bd7, 0x9af1_41e29169781d) } // SEV_INITRD_ENTRY_GUID
func kernelEntryGUID() guid { return makeGUID(0x4de79437, 0xabd2, 0x427f, 0xb835_d5b172d2045b) } // SEV_KERNEL_ENTRY_GUID

// Table returns the padded SEV hashes table, 176 bytes, as QEMU writes it into
// guest memory.
func (h KernelHashes) Table() []byte {
	header, cmdline, initrd, kernel := hashHeaderGUID(), cmdlineGUID(), initrdGUID(), kernelEntryGUID()
	table := make([]byte, 0, hashTablePaddedSize)
	table = append(table, header[:]...)
	table = binary.LittleEndian.AppendUint16(table, hashTableSize)
	table = appendHashEntry(table, cmdline, h.Cmdline)
	table = appendHashEntry(table, initrd, h.Initrd)
	table = appendHashEntry(table, kernel, h.Kernel)
	return table[:hashTablePaddedSize]
}

func appendHashEntry(table []byte, id guid, h Hash) []byte {
	table = append(table, id[:]...)
	table = binary.LittleEndian.AppendUint16(table, hashEntrySize)
	return append(table, h[:]...)
}

// KernelHashesGPA returns the guest physical address at which the firmware
// expects the SEV hashes table. The error wraps ErrNoKernelHashes when this
// firmware would not check a kernel, and ErrBadMetadata when it would look for
// the table outside the section that is measured.
func (f *Firmware) KernelHashesGPA() (uint32, error) {
	section, ok := f.section(SectionSNPKernelHashes)
	if !ok {
		return 0, fmt.Errorf("%w: its SNP metadata has no %s section; use the AmdSev build of OVMF (OVMF.amdsev.fd)",
			ErrNoKernelHashes, SectionSNPKernelHashes)
	}
	gpa, ok, err := f.entryUint32(hashTableGUID())
	if err != nil {
		return 0, err
	}
	if !ok || gpa == 0 {
		return 0, fmt.Errorf("%w: its footer table names no place for the hashes", ErrNoKernelHashes)
	}
	if gpa < section.GPA || uint64(gpa)+hashTablePaddedSize > section.end() {
		return 0, fmt.Errorf("%w: hashes table of %d bytes at %#x does not fit the %s section at %#x, %#x bytes",
			ErrBadMetadata, hashTablePaddedSize, gpa, section.Type, section.GPA, section.Size)
	}
	return gpa, nil
}
