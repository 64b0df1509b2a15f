package snp

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MaxCertTableSize bounds a certificate table in bytes. Linux hands on at most
// 16 KiB; four times that leaves room for others.
const MaxCertTableSize = 64 << 10

// The table is a list of entries that ends with one of zeros, then what the
// entries point at (AMD, GHCB Standardization, publication 56421, section
// "MSG_REPORT_REQ", and Linux's struct cert_table). Offsets count from the
// table's start; numbers are little-endian.
const (
	certEntrySize    = 24
	offsetCertOffset = 16 // in an entry, behind the GUID
	offsetCertLength = 20
	maxCertEntries   = 32
)

// ErrCertTable is a certificate table that is not in the format of the GHCB.
var ErrCertTable = errors.New("malformed certificate table")

// guid is a GUID in the order in which its digits are written, as the table
// keeps it.
type guid [16]byte

// The GUIDs of the table that are known here (56421, same section).
const (
	vcekGUID = "\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd"
	vlekGUID = "\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1"
	askGUID  = "\x4a\xb7\xb3\x79\xbb\xac\x4f\xe4\xa0\x2f\x05\xae\xf3\x27\xc7\x82"
	arkGUID  = "\xc0\xb4\x06\xa4\xa8\x03\x49\x52\x97\x43\x3f\xb6\x01\x4c\xd0\xae"
)

// CertTable is the certificate table that can come behind a report. Each field
// is what the host put there, in practice a certificate in DER or PEM, or nil.
// Nothing in it is signed as a whole: the host may leave out, add or change
// anything.
type CertTable struct {
	VCEK, VLEK []byte
	ASK        []byte // the ASVK, where a VLEK signs
	ARK        []byte
}

// field returns where the table keeps what a GUID stands for, or nil.
func (t *CertTable) field(id guid) *[]byte {
	switch string(id[:]) {
	case vcekGUID:
		return &t.VCEK
	case vlekGUID:
		return &t.VLEK
	case askGUID:
		return &t.ASK
	case arkGUID:
		return &t.ARK
	}
	return nil
}

// certEntry says where the table keeps one certificate: [start, end).
type certEntry struct {
	id         guid
	start, end uint64
}

// ParseCertTable reads a certificate table strictly: it ends with an entry of
// zeros, every GUID occurs once, and what the entries point at lies behind
// them, within the data, apart from each other and is not empty. Unknown GUIDs
// are passed over. No data at all is an empty table. The result refers to data.
// The error wraps ErrCertTable.
func ParseCertTable(data []byte) (*CertTable, error) {
	t := &CertTable{}
	if len(data) == 0 {
		return t, nil
	}
	if len(data) > MaxCertTableSize {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrCertTable, len(data), MaxCertTableSize)
	}
	entries, err := certEntries(data)
	if err == nil {
		err = checkRanges(entries, uint64(len(entries)+1)*certEntrySize, uint64(len(data)))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertTable, err)
	}
	for _, e := range entries {
		if out := t.field(e.id); out != nil {
			*out = data[e.start:e.end:e.end]
		}
	}
	return t, nil
}

// certEntries reads the entries up to the one of zeros.
func certEntries(data []byte) ([]certEntry, error) {
	var entries []certEntry
	for raw := range slices.Chunk(data, certEntrySize) {
		if len(raw) < certEntrySize {
			break
		}
		if [certEntrySize]byte(raw) == ([certEntrySize]byte{}) {
			return entries, nil
		}
		if len(entries) == maxCertEntries {
			return nil, fmt.Errorf("more than %d entries", maxCertEntries)
		}
		e := certEntry{id: guid(raw), start: uint64(binary.LittleEndian.Uint32(raw[offsetCertOffset:]))}
		e.end = e.start + uint64(binary.LittleEndian.Uint32(raw[offsetCertLength:]))
		if slices.ContainsFunc(entries, func(other certEntry) bool { return other.id == e.id }) {
			return nil, fmt.Errorf("GUID %x occurs twice", e.id)
		}
		entries = append(entries, e)
	}
	return nil, errors.New("no entry of zeros ends it")
}

// checkRanges wants what the entries point at between first and last, not
// empty, and none over another.
func checkRanges(entries []certEntry, first, last uint64) error {
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b certEntry) int { return cmp.Compare(a.start, b.start) })
	for _, e := range sorted {
		if e.start < first || e.end > last || e.start >= e.end {
			return fmt.Errorf("entry %x lies at [%#x,%#x), want part of [%#x,%#x)", e.id, e.start, e.end, first, last)
		}
		first = e.end
	}
	return nil
}

// Bytes returns the table as a host hands it on, or nothing when it is empty.
func (t *CertTable) Bytes() []byte {
	var ids []guid
	for _, id := range []string{vcekGUID, vlekGUID, askGUID, arkGUID} {
		if len(*t.field(guid([]byte(id)))) > 0 {
			ids = append(ids, guid([]byte(id)))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	header := make([]byte, (len(ids)+1)*certEntrySize)
	var body []byte
	for i, id := range ids {
		cert, entry := *t.field(id), header[i*certEntrySize:]
		copy(entry, id[:])
		binary.LittleEndian.PutUint32(entry[offsetCertOffset:], uint32(len(header)+len(body)))
		binary.LittleEndian.PutUint32(entry[offsetCertLength:], uint32(len(cert)))
		body = append(body, cert...)
	}
	return append(header, body...)
}

// SplitExtended parts an extended report, a report with a certificate table
// behind it, and reads both. A bare report has an empty table, but zeros behind
// a report are no table. The error wraps ErrCertTable or what ParseReport's
// wraps.
func SplitExtended(data []byte) (*Report, *CertTable, error) {
	var rest []byte
	if len(data) > ReportSize {
		data, rest = data[:ReportSize], data[ReportSize:]
	}
	report, err := ParseReport(data)
	if err != nil {
		return nil, nil, err
	}
	if len(rest) >= certEntrySize && [certEntrySize]byte(rest) == ([certEntrySize]byte{}) {
		return nil, nil, fmt.Errorf("%w: the %d bytes after the report are not a certificate table", ErrReportSize, len(rest))
	}
	table, err := ParseCertTable(rest)
	if err != nil {
		return nil, nil, err
	}
	return report, table, nil
}
