package aspport_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
)

func request() aspport.Request {
	r := aspport.Request{VMPL: 1}
	for i := range r.ReportData {
		r.ReportData[i] = byte(i)
	}
	return r
}

func response() aspport.Response {
	return aspport.Response{Report: bytes.Repeat([]byte{2}, aspport.ReportSize), CertTable: []byte("table")}
}

// TestLayout pins every byte: guest and host may be of different versions.
func TestLayout(t *testing.T) {
	got := request().Bytes()
	want := append([]byte("SNPQ\x01\x00\x00\x00\x00\x00\x00\x00"), got[12:]...)
	if len(got) != 76 || !bytes.Equal(got, want) || got[12] != 0 || got[75] != 63 {
		t.Errorf("request %x", got)
	}
	answer, err := response().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if len(answer) != 16+1184+5 || string(answer[:16]) != "SNPA\x00\x00\x00\x00\xa0\x04\x00\x00\x05\x00\x00\x00" {
		t.Errorf("response %x", answer[:16])
	}
}

func TestRoundTrip(t *testing.T) {
	stream := bytes.NewReader(slices.Concat(request().Bytes(), request().Bytes()))
	for range 2 {
		if got, err := aspport.ReadRequest(stream); err != nil || got != request() {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if _, err := aspport.ReadRequest(stream); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got %v", err)
	}
	for _, r := range []aspport.Response{response(), {Report: response().Report}, {Status: aspport.StatusInvalidParam}} {
		b, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := aspport.ReadResponse(bytes.NewReader(b))
		if err != nil || got.Status != r.Status || !bytes.Equal(got.Report, r.Report) || !bytes.Equal(got.CertTable, r.CertTable) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"magic": func(b []byte) []byte { b[3] = 'A'; return b },
		"VMPL":  func(b []byte) []byte { b[4] = 4; return b },
		"flags": func(b []byte) []byte { b[11] = 1; return b },
	} {
		if _, err := aspport.ReadRequest(bytes.NewReader(change(request().Bytes()))); !errors.Is(err, aspport.ErrProtocol) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := aspport.ReadRequest(bytes.NewReader(request().Bytes()[:75])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short: got %v", err)
	}
}

func TestMalformedResponses(t *testing.T) {
	good, err := response().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	put := func(offset int, n uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[offset:], n); return b }
	}
	for name, change := range map[string]func([]byte) []byte{
		"magic":               func(b []byte) []byte { b[3] = 'Q'; return b },
		"short report":        put(8, aspport.ReportSize-1),
		"huge report":         put(8, 1<<32-1),
		"huge table":          put(12, aspport.MaxCertTableSize+1),
		"refused with report": put(4, 0x16),
		"refused with table":  func(b []byte) []byte { return put(4, 0x16)(put(8, 0)(b)) },
	} {
		if _, err := aspport.ReadResponse(bytes.NewReader(change(bytes.Clone(good)))); !errors.Is(err, aspport.ErrProtocol) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, n := range []int{15, 16, len(good) - 1} {
		if _, err := aspport.ReadResponse(bytes.NewReader(good[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut to %d bytes: got %v", n, err)
		}
	}
	for name, r := range map[string]aspport.Response{
		"no report":           {},
		"large table":         {Report: response().Report, CertTable: make([]byte, aspport.MaxCertTableSize+1)},
		"refused with report": {Status: aspport.StatusInvalidParam, Report: response().Report},
	} {
		if _, err := r.Bytes(); !errors.Is(err, aspport.ErrProtocol) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzReadRequest feeds what a hostile guest could send.
func FuzzReadRequest(f *testing.F) {
	f.Add(request().Bytes())
	f.Add([]byte("SNPQ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := aspport.ReadRequest(bytes.NewReader(data))
		if err == nil && !bytes.Equal(r.Bytes(), data[:aspport.RequestSize]) {
			t.Errorf("%x gives %x", data, r.Bytes())
		}
	})
}

// FuzzReadResponse feeds what a hostile host could answer.
func FuzzReadResponse(f *testing.F) {
	good, err := response().Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("SNPA\x16\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := aspport.ReadResponse(bytes.NewReader(data))
		if err != nil {
			return
		}
		b, err := r.Bytes()
		if err != nil || !bytes.Equal(b, data[:len(b)]) {
			t.Errorf("%x gives %x, %v", data, b, err)
		}
	})
}
