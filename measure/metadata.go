package measure

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// SectionType says how the pages of a section are loaded (edk2,
// OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm, OVMF_SECTION_TYPE_*).
type SectionType uint32

// The section types that a virtual machine monitor has to load.
const (
	SectionSNPSecMem       SectionType = 0x01 // pages that the firmware uses before it validates memory
	SectionSNPSecrets      SectionType = 0x02 // the secrets page
	SectionCPUID           SectionType = 0x03 // the CPUID page
	SectionSVSMCAA         SectionType = 0x04 // calling area of an SVSM
	SectionSNPKernelHashes SectionType = 0x10 // page for the SEV hashes table
)

// String returns the edk2 name of t, without its prefix.
func (t SectionType) String() string {
	switch t {
	case SectionSNPSecMem:
		return "SNP_SEC_MEM"
	case SectionSNPSecrets:
		return "SNP_SECRETS"
	case SectionCPUID:
		return "CPUID"
	case SectionSVSMCAA:
		return "SVSM_CAA"
	case SectionSNPKernelHashes:
		return "SNP_KERNEL_HASHES"
	}
	return fmt.Sprintf("%#x", uint32(t))
}

// Section is one entry of the SNP metadata.
type Section struct {
	GPA  uint32      // guest physical address in bytes, page-aligned
	Size uint32      // in bytes, a whole number of pages, possibly none
	Type SectionType // how its pages are loaded
}

func (s Section) end() uint64 { return uint64(s.GPA) + uint64(s.Size) }

// Layout of the SNP metadata (edk2, OvmfSevMetadata.asm: OvmfSevMetadataHeader
// and the descriptors behind it). The footer table gives its distance from the
// end of the file.
const (
	metadataSignature  = "ASEV"
	metadataVersion    = 1
	metadataHeaderSize = 16
	metadataDescSize   = 12
)

// parseMetadata reads the section table, in its own order.
func (f *Firmware) parseMetadata() ([]Section, error) {
	distance, ok, err := f.entryUint32(metadataGUID())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: this build of OVMF cannot start an SEV-SNP guest", ErrNoMetadata)
	}
	if distance < metadataHeaderSize || uint64(distance) > uint64(len(f.data)) {
		return nil, fmt.Errorf("%w: header %#x bytes before the end of a file of %#x", ErrBadMetadata, distance, len(f.data))
	}
	table := f.data[len(f.data)-int(distance):]
	if string(table[:4]) != metadataSignature {
		return nil, fmt.Errorf("%w: signature %q, want %q", ErrBadMetadata, table[:4], metadataSignature)
	}
	length := binary.LittleEndian.Uint32(table[4:])
	if v := binary.LittleEndian.Uint32(table[8:]); v != metadataVersion {
		return nil, fmt.Errorf("%w: version %d, only %d is known", ErrBadMetadata, v, metadataVersion)
	}
	count := binary.LittleEndian.Uint32(table[12:])
	need := metadataHeaderSize + uint64(count)*metadataDescSize
	if uint64(length) > uint64(len(table)) || need > uint64(length) {
		return nil, fmt.Errorf("%w: %d sections need %d bytes, header claims %d, file has %d",
			ErrBadMetadata, count, need, length, len(table))
	}
	sections := make([]Section, count)
	for i := range sections {
		desc := table[metadataHeaderSize+i*metadataDescSize:]
		sections[i] = Section{
			GPA:  binary.LittleEndian.Uint32(desc),
			Size: binary.LittleEndian.Uint32(desc[4:]),
			Type: SectionType(binary.LittleEndian.Uint32(desc[8:])),
		}
	}
	return sections, checkSections(sections, fourGiB-uint64(len(f.data)))
}

// checkSections refuses sections that no hypervisor could load: they must be
// whole pages, below the firmware, and apart from each other.
func checkSections(sections []Section, firmwareGPA uint64) error {
	for i, s := range sections {
		if err := checkSection(s, firmwareGPA); err != nil {
			return fmt.Errorf("section %d: %w", i, err)
		}
	}
	sorted := slices.SortedFunc(slices.Values(sections), func(a, b Section) int { return int(int64(a.GPA) - int64(b.GPA)) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; b.Size > 0 && a.end() > uint64(b.GPA) {
			return fmt.Errorf("%w: %s at %#x overlaps %s at %#x", ErrBadMetadata, a.Type, a.GPA, b.Type, b.GPA)
		}
	}
	return nil
}

func checkSection(s Section, firmwareGPA uint64) error {
	switch s.Type {
	case SectionSNPSecrets, SectionCPUID:
		if s.Size != PageSize {
			return fmt.Errorf("%w: %s at %#x has %#x bytes, want one page", ErrBadMetadata, s.Type, s.GPA, s.Size)
		}
	case SectionSNPSecMem, SectionSVSMCAA, SectionSNPKernelHashes:
	default:
		return fmt.Errorf("%w: %s at %#x", ErrUnknownSection, s.Type, s.GPA)
	}
	if s.GPA%PageSize != 0 || s.Size%PageSize != 0 {
		return fmt.Errorf("%w: %s at %#x, %#x bytes: not whole pages", ErrBadMetadata, s.Type, s.GPA, s.Size)
	}
	if s.end() > firmwareGPA {
		return fmt.Errorf("%w: %s at %#x, %#x bytes reaches into the firmware at %#x",
			ErrBadMetadata, s.Type, s.GPA, s.Size, firmwareGPA)
	}
	return nil
}
