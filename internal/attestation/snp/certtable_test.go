package snp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// The GUIDs as the GHCB specification writes them, without hyphens.
const (
	vcekGUID = "63da758de6644564adc5f4b93be8accd"
	vlekGUID = "a8074bc2a25a483eaae639c045a0b8a1"
	askGUID  = "4ab7b379bbac4fe4a02f05aef327c782"
	arkGUID  = "c0b406a4a803495297433fb6014cd0ae"
	crlGUID  = "92f81bc358114d3d97ffd19f88dc67ea" // not known here
)

// entry returns an entry of a certificate table.
func entry(guid string, offset, length uint32) []byte {
	out, err := hex.DecodeString(guid)
	if err != nil {
		panic(err)
	}
	out = binary.LittleEndian.AppendUint32(out, offset)
	return binary.LittleEndian.AppendUint32(out, length)
}

// end is the entry of zeros.
func end() []byte { return make([]byte, 24) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestParseCertTable(t *testing.T) {
	for _, tc := range []struct {
		name string
		data []byte
		want snp.CertTable
	}{
		{"no data", nil, snp.CertTable{}},
		{"no entries", end(), snp.CertTable{}},
		{"each kind", join(entry(vcekGUID, 120, 1), entry(vlekGUID, 121, 2), entry(askGUID, 123, 1), entry(arkGUID, 124, 2), end(), []byte("aBBcDD")),
			snp.CertTable{VCEK: []byte("a"), VLEK: []byte("BB"), ASK: []byte("c"), ARK: []byte("DD")}},
		{"out of order, with gaps and padding", join(entry(vcekGUID, 76, 2), entry(askGUID, 73, 1), end(), []byte(".a..bb...")),
			snp.CertTable{VCEK: []byte("bb"), ASK: []byte("a")}},
		{"unknown GUID", join(entry(crlGUID, 72, 3), entry(arkGUID, 75, 1), end(), []byte("crlA")),
			snp.CertTable{ARK: []byte("A")}},
		{"other byte order is unknown", join(entry("8d75da6364e66445adc5f4b93be8accd", 48, 1), end(), []byte("a")), snp.CertTable{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := snp.ParseCertTable(tc.data)
			if err != nil || !reflect.DeepEqual(*got, tc.want) {
				t.Fatalf("got %+v, %v, want %+v", got, err, tc.want)
			}
			again, err := snp.ParseCertTable(got.Bytes())
			if err != nil || !reflect.DeepEqual(*again, tc.want) {
				t.Errorf("encoded and decoded: %+v, %v", again, err)
			}
		})
	}
}

func TestParseCertTableRefuses(t *testing.T) {
	var many []byte
	for i := range uint32(33) {
		many = append(many, entry(hex.EncodeToString([]byte{byte(i + 1), 15: 0}), 34*24+i, 1)...)
	}
	for name, data := range map[string][]byte{
		"too short":             {1, 2, 3},
		"no end":                entry(vcekGUID, 24, 1),
		"end cut short":         join(entry(vcekGUID, 24, 1), make([]byte, 23)),
		"twice":                 join(entry(vcekGUID, 72, 1), entry(vcekGUID, 73, 1), end(), []byte("ab")),
		"unknown twice":         join(entry(crlGUID, 72, 1), entry(crlGUID, 73, 1), end(), []byte("ab")),
		"into the entries":      join(entry(vcekGUID, 47, 2), end(), []byte("ab")),
		"behind the data":       join(entry(vcekGUID, 48, 3), end(), []byte("ab")),
		"starts behind":         join(entry(vcekGUID, 51, 1), end(), []byte("ab")),
		"offset wraps around":   join(entry(vcekGUID, 0xFFFFFFF0, 0x41), end(), []byte("ab")),
		"length wraps around":   join(entry(vcekGUID, 48, 0xFFFFFFFF), end(), []byte("ab")),
		"overlap":               join(entry(vcekGUID, 72, 2), entry(askGUID, 73, 2), end(), []byte("abc")),
		"overlap, out of order": join(entry(vcekGUID, 73, 2), entry(askGUID, 72, 2), end(), []byte("abc")),
		"same bytes":            join(entry(vcekGUID, 72, 1), entry(askGUID, 72, 1), end(), []byte("ab")),
		"within another":        join(entry(vcekGUID, 72, 3), entry(askGUID, 73, 1), end(), []byte("abc")),
		"empty":                 join(entry(vcekGUID, 48, 0), end(), []byte("ab")),
		"too many":              join(many, end(), make([]byte, 33)),
		"too large":             join(entry(vcekGUID, 48, 1), end(), make([]byte, snp.MaxCertTableSize)),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := snp.ParseCertTable(data); !errors.Is(err, snp.ErrCertTable) {
				t.Errorf("got %+v, %v, want %v", got, err, snp.ErrCertTable)
			}
		})
	}
}

func TestSplitExtended(t *testing.T) {
	report := vectors.MustRead(t, "reports/milan-v3-vcek-05b7438a3d.bin")
	table := (&snp.CertTable{VCEK: []byte("vcek")}).Bytes()
	for _, tc := range []struct {
		name string
		data []byte
		vcek string
		want error
	}{
		{"bare", report, "", nil},
		{"with a table", join(report, table), "vcek", nil},
		{"with a table and padding", join(report, table, make([]byte, 4096)), "vcek", nil},
		{"empty", nil, "", snp.ErrReportSize},
		{"one byte short", report[:len(report)-1], "", snp.ErrReportSize},
		{"one byte long", join(report, []byte{0}), "", snp.ErrCertTable},
		{"padded", join(report, make([]byte, 4096)), "", snp.ErrReportSize},
		{"padded by an entry", join(report, end()), "", snp.ErrReportSize},
		{"twice", join(report, report), "", snp.ErrCertTable},
		{"table alone", table, "", snp.ErrReportSize},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, certs, err := snp.SplitExtended(tc.data)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err == nil && (!bytes.Equal(r.Bytes(), report) || string(certs.VCEK) != tc.vcek) {
				t.Errorf("got table %+v", certs)
			}
		})
	}
}
