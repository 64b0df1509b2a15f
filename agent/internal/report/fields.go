package report

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Fields are the fields of a report that people ask for, as text. They are not
// verified here: who needs that verifies the report.
type Fields struct {
	Version         uint32 `json:"version"`
	GuestSVN        uint32 `json:"guest_svn"`
	Policy          string `json:"policy"`    // 0x and hexadecimal digits
	FamilyID        string `json:"family_id"` // the image, as a UUID
	ImageID         string `json:"image_id"`  // the release, as a UUID
	VMPL            uint32 `json:"vmpl"`
	Measurement     string `json:"measurement"` // hexadecimal, like all below
	HostData        string `json:"host_data"`
	IDKeyDigest     string `json:"id_key_digest"`
	AuthorKeyDigest string `json:"author_key_digest"`
	ReportID        string `json:"report_id"`
	ReportedTCB     string `json:"reported_tcb"`
	ChipID          string `json:"chip_id"`
}

// ParseFields reads fields of a report of Size bytes (56860 rev. 1.58, table
// ATTESTATION_REPORT). The error wraps errMalformed.
func ParseFields(report []byte) (*Fields, error) {
	if len(report) != Size {
		return nil, fmt.Errorf("%w: %d bytes, want %d", errMalformed, len(report), Size)
	}
	digits := func(offset, size int) string { return hex.EncodeToString(report[offset : offset+size]) }
	uuid := func(offset int) string {
		u := report[offset : offset+16]
		return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	}
	le := binary.LittleEndian
	return &Fields{
		Version: le.Uint32(report), GuestSVN: le.Uint32(report[0x004:]), Policy: fmt.Sprintf("%#x", le.Uint64(report[0x008:])),
		FamilyID: uuid(0x010), ImageID: uuid(0x020), VMPL: le.Uint32(report[0x030:]),
		Measurement: digits(0x090, 48), HostData: digits(0x0C0, 32), IDKeyDigest: digits(0x0E0, 48), AuthorKeyDigest: digits(0x110, 48),
		ReportID: digits(0x140, 32), ReportedTCB: digits(0x180, 8), ChipID: digits(0x1A0, 64),
	}, nil
}
