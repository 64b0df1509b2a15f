package ext4

import (
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Compatible features (s_feature_compat) that matter to a reader.
const compatSparseSuper2 = 0x200

// Incompatible features (s_feature_incompat).
const (
	incompatFiletype   = 0x2
	incompatRecover    = 0x4
	incompatMetaBG     = 0x10
	incompatExtents    = 0x40
	incompat64Bit      = 0x80
	incompatMMP        = 0x100
	incompatFlexBG     = 0x200
	incompatEAInode    = 0x400
	incompatCsumSeed   = 0x2000
	incompatLargeDir   = 0x4000
	incompatInlineData = 0x8000

	incompatKnown = incompatFiletype | incompatRecover | incompatMetaBG | incompatExtents | incompat64Bit | incompatMMP |
		incompatFlexBG | incompatEAInode | incompatCsumSeed | incompatLargeDir | incompatInlineData
)

// Read-only compatible features (s_feature_ro_compat). Unknown ones do not
// change what a reader sees.
const (
	roCompatSparseSuper  = 0x1
	roCompatGDTCsum      = 0x10
	roCompatBigalloc     = 0x200
	roCompatMetadataCsum = 0x400
)

// incompatName names features that are refused, as e2fsprogs does.
func incompatName(bit uint32) string {
	switch bit {
	case 0x1:
		return "compression"
	case 0x8:
		return "journal_dev"
	case 0x1000:
		return "dirdata"
	case 0x10000:
		return "encrypt"
	case 0x20000:
		return "casefold"
	default:
		return fmt.Sprintf("0x%x", bit)
	}
}

// checkFeatures refuses what would be read wrongly.
func checkFeatures(incompat uint32) error {
	var names []string
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if incompat&^uint32(incompatKnown)&bit != 0 {
			names = append(names, incompatName(bit))
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: ext4 with the feature %s", rootfs.ErrUnsupported, strings.Join(names, ", "))
	}
	return nil
}
