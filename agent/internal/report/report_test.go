package report

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

func data() [DataSize]byte { return [DataSize]byte{1, 2, 63: 64} }

// raw is a report with nothing but the requested data.
func raw(d [DataSize]byte) []byte {
	b := make([]byte, Size)
	copy(b[dataOffset:], d[:])
	return b
}

// fakeConfigfs is configfs-tsm: a write of inblob makes outblob.
type fakeConfigfs struct {
	mkdir      error
	attributes map[string][]byte // what it answers
	missing    map[string]error
	entries    map[string]bool
	rmdir      error
}

func (f *fakeConfigfs) Mkdir(entry string) error {
	if f.mkdir == nil {
		f.entries[entry] = true
	}
	return f.mkdir
}

func (f *fakeConfigfs) Rmdir(entry string) error {
	delete(f.entries, entry)
	return f.rmdir
}

func (f *fakeConfigfs) Write(_, attribute string, value []byte) error {
	if attribute == "inblob" && f.attributes["outblob"] == nil {
		f.attributes["outblob"] = raw([DataSize]byte(value))
	}
	return f.missing["inblob"]
}

func (f *fakeConfigfs) Read(_, attribute string, limit int64) ([]byte, error) {
	value := f.attributes[attribute]
	return value[:min(int64(len(value)), limit)], f.missing[attribute]
}

func newConfigfs() *fakeConfigfs {
	return &fakeConfigfs{entries: map[string]bool{}, missing: map[string]error{}, attributes: map[string][]byte{
		"provider": []byte("sev_guest\n"), "generation": []byte("1\n"), "auxblob": bytes.Repeat([]byte{9}, 48),
	}}
}

func TestTSM(t *testing.T) {
	f := newConfigfs()
	e, err := Get([]Provider{TSM{f}}, data())
	if err != nil || !bytes.Equal(e.Report, raw(data())) || len(e.Certificates) != 48 || e.Provider != "configfs-tsm" || len(f.entries) != 0 {
		t.Fatalf("%v, %+v, entries %v", err, e, f.entries)
	}
	f = newConfigfs()
	f.missing["auxblob"] = fs.ErrNotExist
	f.attributes["auxblob"] = nil
	if e, err := Get([]Provider{TSM{f}}, data()); err != nil || e.Certificates != nil {
		t.Errorf("without certificates: %v", err)
	}
	for name, tc := range map[string]struct {
		damage func(*fakeConfigfs)
		want   error
	}{
		"no directory":      {func(f *fakeConfigfs) { f.mkdir = fs.ErrNotExist }, errUnavailable},
		"no provider":       {func(f *fakeConfigfs) { f.mkdir = unix.ENXIO }, errUnavailable},
		"another provider":  {func(f *fakeConfigfs) { f.attributes["provider"] = []byte("tdx_guest\n") }, errUnavailable},
		"somebody else's":   {func(f *fakeConfigfs) { f.attributes["generation"] = []byte("2\n") }, errMalformed},
		"another report":    {func(f *fakeConfigfs) { f.attributes["outblob"] = make([]byte, Size) }, errMalformed},
		"a short report":    {func(f *fakeConfigfs) { f.attributes["outblob"] = raw(data())[:Size-1] }, errMalformed},
		"a long report":     {func(f *fakeConfigfs) { f.attributes["outblob"] = make([]byte, Size+9) }, errMalformed},
		"busy":              {func(f *fakeConfigfs) { f.missing["inblob"] = unix.EBUSY }, unix.EBUSY},
		"no outblob":        {func(f *fakeConfigfs) { f.missing["outblob"] = unix.EIO }, unix.EIO},
		"broken auxblob":    {func(f *fakeConfigfs) { f.missing["auxblob"] = unix.EIO }, unix.EIO},
		"no generation":     {func(f *fakeConfigfs) { f.missing["generation"] = unix.EIO }, unix.EIO},
		"unreadable name":   {func(f *fakeConfigfs) { f.missing["provider"] = unix.EIO }, unix.EIO},
		"entry cannot go":   {func(f *fakeConfigfs) { f.rmdir = unix.EBUSY }, unix.EBUSY},
		"entry not allowed": {func(f *fakeConfigfs) { f.mkdir = unix.EPERM }, unix.EPERM},
	} {
		f := newConfigfs()
		tc.damage(f)
		if _, err := Get([]Provider{TSM{f}}, data()); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
		if len(f.entries) != 0 {
			t.Errorf("%s: the entry is left", name)
		}
	}
}

// TestDir does what configfs does with files of a directory.
func TestDir(t *testing.T) {
	d := Dir(t.TempDir())
	if err := d.Mkdir("e"); err != nil {
		t.Fatal(err)
	}
	if err := d.Write("e", "inblob", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made an attribute: %v", err)
	}
	if err := os.WriteFile(filepath.Join(string(d), "e", "outblob"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Write("e", "outblob", []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if b, err := d.Read("e", "outblob", 5); err != nil || string(b) != "abc34" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := d.Read("e", "auxblob", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(string(d), "e", "outblob")); err != nil {
		t.Fatal(err)
	}
	if err := d.Rmdir("e"); err != nil {
		t.Error(err)
	}
}

// fakeDevice is /dev/sev-guest.
type fakeDevice struct {
	table    []byte // nil: the extended report fails
	response func([DataSize]byte) []byte
	closed   bool
}

func (f *fakeDevice) Close() error { f.closed = true; return nil }

func (f *fakeDevice) Report(d [DataSize]byte, table []byte) ([]byte, error) {
	if f.response == nil || (table != nil && f.table == nil) {
		return nil, unix.EIO
	}
	copy(table, f.table)
	return f.response(d), nil
}

func response(d [DataSize]byte) []byte {
	b := make([]byte, responseSize)
	binary.LittleEndian.PutUint32(b[offReportSize:], Size)
	copy(b[offReport:], raw(d))
	return b
}

func TestSEVGuest(t *testing.T) {
	for name, tc := range map[string]struct {
		device fakeDevice
		table  bool
		want   error
	}{
		"with certificates":     {fakeDevice{table: []byte("certificates"), response: response}, true, nil},
		"host without any":      {fakeDevice{table: []byte{}, response: response}, false, nil},
		"extended fails":        {fakeDevice{response: response}, false, nil},
		"both fail":             {fakeDevice{}, false, unix.EIO},
		"another request's":     {fakeDevice{response: func([DataSize]byte) []byte { return response([DataSize]byte{}) }}, false, errMalformed},
		"a short message":       {fakeDevice{response: func(d [DataSize]byte) []byte { return response(d)[:offReport+Size-1] }}, false, errMalformed},
		"another report size":   {fakeDevice{response: func(d [DataSize]byte) []byte { b := response(d); b[offReportSize]++; return b }}, false, errMalformed},
		"a status, and no data": {fakeDevice{response: func(d [DataSize]byte) []byte { b := response(d); b[offStatus] = 0x16; return b }}, false, errors.ErrUnsupported},
	} {
		d := tc.device
		e, err := Get([]Provider{SEVGuest{func() (Device, error) { return &d, nil }}}, data())
		if tc.want != nil && errors.Is(tc.want, errors.ErrUnsupported) {
			if err == nil || !strings.Contains(err.Error(), "status 0x16") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, tc.want) || (err == nil && (e.Certificates != nil) != tc.table) || !d.closed {
			t.Errorf("%s: %v, %+v", name, err, e)
		}
	}
}

func TestProvidersInTurn(t *testing.T) {
	absent := SEVGuest{func() (Device, error) { return nil, fs.ErrNotExist }}
	present := SEVGuest{func() (Device, error) { return &fakeDevice{response: response}, nil }}
	if e, err := Get([]Provider{absent, present}, data()); err != nil || e.Provider != "sev-guest" {
		t.Error(err)
	}
	_, err := Get([]Provider{TSM{&fakeConfigfs{mkdir: fs.ErrNotExist}}, absent}, data())
	if !errors.Is(err, errUnavailable) || !strings.Contains(err.Error(), "configfs-tsm: ") || !strings.Contains(err.Error(), "; sev-guest: ") {
		t.Errorf("got %v", err)
	}
	if _, err := Get(nil, data()); !errors.Is(err, errUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestUselessTablesAreLeftOut(t *testing.T) {
	for name, table := range map[string][]byte{
		"zeros": make([]byte, 4096), "short": {1}, "too large": bytes.Repeat([]byte{1}, maxTableSize+1),
	} {
		e, err := checked(&Evidence{Report: raw(data()), Certificates: table}, data())
		if err != nil || e.Certificates != nil {
			t.Errorf("%s: %v, %d bytes", name, err, len(e.Certificates))
		}
	}
}

// TestFields compares with the parser of the service.
func TestFields(t *testing.T) {
	chip := sim.NewChip(snp.Turin, "fields", snp.TCB{FMC: 1, BootLoader: 3, TEE: 2, SNP: 5, Microcode: 97})
	vcek, err := simtest.AMD(t).VCEK(chip)
	if err != nil {
		t.Fatal(err)
	}
	template := sim.ReportTemplate(chip)
	template.FamilyID, template.ImageID, template.Measurement = [16]byte{1, 15: 2}, [16]byte{3, 15: 4}, [48]byte{5, 47: 6}
	template.GuestSVN, template.HostData, template.IDKeyDigest, template.AuthorKeyDigest = 7, [32]byte{8}, [48]byte{9}, [48]byte{10}
	signed, err := vcek.Report(template)
	if err != nil {
		t.Fatal(err)
	}
	want, err := snp.ParseReport(signed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFields(signed)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"version": {got.Version, want.Version}, "SVN": {got.GuestSVN, want.GuestSVN}, "VMPL": {got.VMPL, want.VMPL},
		"policy": {got.Policy, "0x30000"}, "family": {got.FamilyID, "01000000-0000-0000-0000-000000000002"},
		"image":       {got.ImageID, "03000000-0000-0000-0000-000000000004"},
		"measurement": {got.Measurement, digits(want.Measurement[:])}, "host data": {got.HostData, digits(want.HostData[:])},
		"ID key": {got.IDKeyDigest, digits(want.IDKeyDigest[:])}, "author key": {got.AuthorKeyDigest, digits(want.AuthorKeyDigest[:])},
		"report ID": {got.ReportID, digits(want.ReportID[:])}, "TCB": {got.ReportedTCB, digits(want.ReportedTCB[:])},
		"chip": {got.ChipID, digits(want.ChipID[:])},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	if _, err := ParseFields(signed[1:]); !errors.Is(err, errMalformed) {
		t.Errorf("got %v", err)
	}
}

func digits(b []byte) string {
	const hexits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(hexits[c>>4])
		out.WriteByte(hexits[c&15])
	}
	return out.String()
}

func FuzzBlobs(f *testing.F) {
	f.Add(response(data()), []byte("table"))
	f.Add(raw(data()), make([]byte, 24))
	f.Fuzz(func(t *testing.T, message, table []byte) {
		c := newConfigfs()
		c.attributes["outblob"], c.attributes["auxblob"] = message, table
		device := &fakeDevice{table: table, response: func([DataSize]byte) []byte { return message }}
		for _, p := range []Provider{TSM{c}, SEVGuest{func() (Device, error) { return device, nil }}} {
			e, err := Get([]Provider{p}, data())
			if err == nil && (len(e.Report) != Size || !bytes.Equal(e.Report[0x50:0x90], raw(data())[0x50:0x90]) || len(e.Certificates) > 64<<10) {
				t.Fatalf("%s took %d and %d bytes", p.Name(), len(e.Report), len(e.Certificates))
			}
		}
	})
}
