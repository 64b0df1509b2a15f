package measure

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// DigestSize is the size of a launch digest in bytes: one SHA-384.
const DigestSize = sha512.Size384

// PageSize is the size in bytes of the pages that SNP_LAUNCH_UPDATE measures.
const PageSize = 4096

// Digest is a launch digest, MEASUREMENT in an attestation report
// (56860 rev. 1.58, table ATTESTATION_REPORT, offset 0x90).
type Digest [DigestSize]byte

// String returns d as 96 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns what String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// ParseDigest reads a digest from its 96 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(DigestSize) {
		return d, fmt.Errorf("digest has %d characters, want %d hexadecimal digits", len(s), hex.EncodedLen(DigestSize))
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return d, fmt.Errorf("digest is not hexadecimal: %w", err)
	}
	return d, nil
}

// Page types of SNP_LAUNCH_UPDATE (56860 rev. 1.58, section 8.17, table
// "Encodings for the PAGE_TYPE Field").
const (
	pageNormal     = 0x01
	pageVMSA       = 0x02
	pageZero       = 0x03
	pageUnmeasured = 0x04
	pageSecrets    = 0x05
	pageCPUID      = 0x06
)

// Offsets in PAGE_INFO (56860 rev. 1.58, section 8.17, table "Layout of the
// PAGE_INFO Structure"). IMI_PAGE and the VMPL permissions, 0x63 to 0x66, are
// zero for all that a hypervisor loads at launch.
const (
	pageInfoDigestCur = 0x00
	pageInfoContents  = 0x30
	pageInfoLength    = 0x60
	pageInfoPageType  = 0x62
	pageInfoGPA       = 0x68
	pageInfoSize      = 0x70
)

// vmsaGPA is the address under which a VMSA page is measured: all ones,
// page-aligned and cut to the 52 bits of a physical address by the RMP. It is
// the same for every vCPU.
const vmsaGPA = 0xFFFFFFFFF000

// chain is the running launch digest. The zero value is an empty guest's.
// It is a plain value: a copy continues on its own.
type chain Digest

// extend adds one page: the digest becomes the hash of its PAGE_INFO. contents
// is the SHA-384 of the page, or zero for the types that the AMD-SP fills.
func (c *chain) extend(pageType byte, gpa uint64, contents Digest) {
	var info [pageInfoSize]byte
	copy(info[pageInfoDigestCur:], c[:])
	copy(info[pageInfoContents:], contents[:])
	binary.LittleEndian.PutUint16(info[pageInfoLength:], pageInfoSize)
	info[pageInfoPageType] = pageType
	binary.LittleEndian.PutUint64(info[pageInfoGPA:], gpa)
	*c = sha512.Sum384(info[:])
}

// normal adds data, a whole number of pages, from gpa on.
func (c *chain) normal(gpa uint64, data []byte) {
	for off := 0; off < len(data); off += PageSize {
		c.extend(pageNormal, gpa+uint64(off), sha512.Sum384(data[off:off+PageSize]))
	}
}

// blank adds size bytes, a whole number of pages, whose contents do not count.
func (c *chain) blank(pageType byte, gpa uint64, size uint32) {
	for off := uint64(0); off < uint64(size); off += PageSize {
		c.extend(pageType, gpa+off, Digest{})
	}
}
