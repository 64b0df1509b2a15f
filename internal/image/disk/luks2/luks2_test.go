package luks2_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
)

func uuid() [16]byte {
	return [16]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4d, 0xef, 0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0xff}
}

const uuidText = "01234567-89ab-4def-8001-0203040506ff"

func newVMK() []byte {
	vmk := make([]byte, luks2.VMKSize)
	rand.Read(vmk)
	return vmk
}

func encode(tb testing.TB, vmk []byte) []byte {
	tb.Helper()
	header, err := luks2.Encode(uuid(), vmk, 4096, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	if len(header) != luks2.Size {
		tb.Fatalf("%d bytes", len(header))
	}
	return header
}

// converted is what Encode's header is parsed to.
func converted() luks2.Header {
	return luks2.Header{
		UUID: uuid(), Label: "snpguard-root", Sequence: 1, KeyslotsEnd: 8 << 20,
		PayloadOffset: 16 << 20, Cipher: "aes-xts-plain64", SectorSize: 4096,
	}
}

func TestEncodedIsParsed(t *testing.T) {
	h, err := luks2.Parse(bytes.NewReader(encode(t, newVMK())))
	if err != nil {
		t.Fatal(err)
	}
	if want := converted(); !reflect.DeepEqual(*h, want) || !h.Converted() {
		t.Errorf("parsed %+v, want %+v", *h, want)
	}
	small, err := luks2.Encode(uuid(), newVMK(), 512, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err = luks2.Parse(bytes.NewReader(small))
	if err != nil || h.SectorSize != 512 || !h.Converted() {
		t.Errorf("sectors of 512 bytes: parsed %+v, %v", h, err)
	}
}

func TestConvertedLooksAtEverything(t *testing.T) {
	for name, change := range map[string]func(*luks2.Header){
		"label":     func(h *luks2.Header) { h.Label = "" },
		"keyslots":  func(h *luks2.Header) { h.KeyslotsEnd = luks2.PayloadOffset },
		"payload":   func(h *luks2.Header) { h.PayloadOffset += 4096 },
		"cipher":    func(h *luks2.Header) { h.Cipher = "cipher_null-ecb" },
		"sectors":   func(h *luks2.Header) { h.SectorSize = 2048 },
		"not these": func(h *luks2.Header) { h.Keyslots++; h.Sequence++; h.UUID[0]++ },
	} {
		h := converted()
		change(&h)
		if h.Converted() != (name == "not these") {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// TestEncodeIsDeterministic fixes the bytes by a source that is not random, and
// wants each source to be read.
func TestEncodeIsDeterministic(t *testing.T) {
	vmk := newVMK()
	again := func(salt string) []byte {
		header, err := luks2.Encode(uuid(), vmk, 4096, strings.NewReader(strings.Repeat(salt, 160)))
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	if !bytes.Equal(again("a"), again("a")) || bytes.Equal(again("a"), again("b")) {
		t.Error("bytes do not depend on the arguments alone")
	}
	header := encode(t, vmk)
	if salts := header[0x68:0xA8]; bytes.Equal(salts, header[luks2.CopySize:][0x68:0xA8]) {
		t.Error("both copies have the same salt")
	}
	if header = again("a"); bytes.Contains(header, vmk[:8]) || bytes.Contains(header, vmk[56:]) {
		t.Error("the VMK is in the header")
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, size := range []int{0, 32, 63, 65} {
		if _, err := luks2.Encode(uuid(), make([]byte, size), 4096, rand.Reader); err == nil {
			t.Errorf("VMK of %d bytes: no error", size)
		}
	}
	for _, size := range []int{0, -512, 1024, 2048, 8192} {
		if _, err := luks2.Encode(uuid(), newVMK(), size, rand.Reader); err == nil {
			t.Errorf("sectors of %d bytes: no error", size)
		}
	}
	if _, err := luks2.Encode(uuid(), newVMK(), 4096, strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too little randomness: %v", err)
	}
}

// sum mends the checksum of one copy.
func sum(header []byte) {
	clear(header[0x1C0:0x200])
	s := sha256.Sum256(header)
	copy(header[0x1C0:], s[:])
}

// damage changes both copies of a good header the same way and mends their
// checksums.
func damage(tb testing.TB, change func(b []byte)) []byte {
	tb.Helper()
	header := encode(tb, newVMK())
	for offset := 0; offset < luks2.Size; offset += luks2.CopySize {
		b := header[offset:][:luks2.CopySize]
		change(b)
		sum(b)
	}
	return header
}

// replace exchanges a part of the JSON.
func replace(from, to string) func(b []byte) {
	return func(b []byte) {
		text := bytes.TrimRight(b[4096:], "\x00")
		if !bytes.Contains(text, []byte(from)) {
			panic("no " + from)
		}
		changed := bytes.Replace(text, []byte(from), []byte(to), 1)
		clear(b[4096:])
		copy(b[4096:], changed)
	}
}

func TestHostileHeadersAreRefused(t *testing.T) {
	for want, change := range map[string]func(b []byte){
		"version 1":                      func(b []byte) { b[7] = 1 },
		"version 513":                    func(b []byte) { b[6] = 2; b[7] = 1 },
		"a copy has 32768":               func(b []byte) { b[14] = 0x80 },
		"checksum \"sha1\"":              func(b []byte) { copy(b[0x48:], "sha1\x00\x00") },
		"the copy at 0 is for 8":         func(b []byte) { b[0x107] = 8 },
		"label is not printable":         func(b []byte) { copy(b[0x18:], "\x1b[2J") },
		"is not printable":               func(b []byte) { copy(b[0x18:], "\xff") },
		"\"\" is not a UUID":             func(b []byte) { b[0xA8] = 0 },
		"0123-4567\" is not a UUID":      func(b []byte) { copy(b[0xA8:], "0123-4567\x00") },
		"does not end in zeros":          func(b []byte) { b[16383] = 1 },
		"end in zeros":                   func(b []byte) { copy(b[4096:], bytes.Repeat([]byte{' '}, 12288)) },
		"invalid character":              func(b []byte) { b[4097] = 'x' },
		"unexpected EOF":                 func(b []byte) { clear(b[4097:]) },
		"not a JSON object":              func(b []byte) { clear(b[4096:]) },
		"\"segments\" occurs twice":      replace(`"segments":{`, `"segments":{},"segments":{`),
		"field \"Segments\"":             replace(`"segments":{`, `"Segments":{},"segments":{`),
		"field \"segments.0.\u017fize\"": replace(`"size":`, `"ſize":"4096","size":`),
		"areas of 16384":                 replace(`"12288"`, `"16384"`),
		"areas of 12288 and 9223372036":  replace(`"8355840"`, `"9223372036854775807"`),
		"invalid use of ,string":         replace(`"8355840"`, `8355840`),
		"requirements":                   replace(`"config":{`, `"config":{"requirements":{"mandatory":["online-reencrypt-v2"]},`),
		"0 segments":                     replace(`"segments":{`, `"segment":{`),
		"2 segments":                     replace(`"segments":{`, `"segments":{"1":{},`),
		"1 segments":                     replace(`"0":{"type":"crypt"`, `"1":{"type":"crypt"`),
		"type \"linear\"":                replace(`"crypt"`, `"linear"`),
		"segment at 16777217":            replace(`"16777216"`, `"16777217"`),
		"segment at 18446744073709551":   replace(`"16777216"`, `"18446744073709551104"`),
		"cannot unmarshal":               replace(`"sector_size":4096`, `"sector_size":"4096"`),
		"size \"4096\"":                  replace(`"dynamic"`, `"4096"`),
		"IVs begin at 8":                 replace(`"iv_tweak":"0"`, `"iv_tweak":"8"`),
		"cipher \"\"":                    replace(`"aes-xts-plain64"`, `""`),
		`cipher "\x1bc"`:                 replace(`"aes-xts-plain64"`, `"\u001bc"`),
		"sectors of 8192":                replace(`"sector_size":4096`, `"sector_size":8192`),
	} {
		h, err := luks2.Parse(bytes.NewReader(damage(t, change)))
		if !errors.Is(err, luks2.ErrHeader) || !strings.Contains(err.Error(), want) || h != nil {
			t.Errorf("%s: got %+v, %v", want, h, err)
		}
	}
}

func TestNoHeader(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":          nil,
		"zeros":          make([]byte, luks2.Size),
		"magic wrong":    damage(t, func(b []byte) { b[0] = 'X' }),
		"copies swapped": damage(t, func(b []byte) { b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0] }),
	} {
		if h, err := luks2.Parse(bytes.NewReader(b)); !errors.Is(err, luks2.ErrNotLUKS) || h != nil {
			t.Errorf("%s: got %+v, %v", name, h, err)
		}
	}
	broken := errors.New("broken disk")
	r := io.NewSectionReader(readerAt{iotest.ErrReader(broken)}, 0, luks2.Size)
	if _, err := luks2.Parse(r); !errors.Is(err, broken) {
		t.Errorf("unreadable: got %v", err)
	}
}

type readerAt struct{ io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return r.Read(p) }

// TestOneCopyIsEnough breaks either copy, and makes either the younger one.
func TestOneCopyIsEnough(t *testing.T) {
	for offset := 0; offset < luks2.Size; offset += luks2.CopySize {
		for _, at := range []int{0, 0x1C0, 0x1000, luks2.CopySize - 1} {
			header := encode(t, newVMK())
			header[offset+at] ^= 1
			h, err := luks2.Parse(bytes.NewReader(header))
			if err != nil || !h.Converted() {
				t.Errorf("bad byte at %d: %+v, %v", offset+at, h, err)
			}
		}
		header := encode(t, newVMK())
		header[offset+0x17] = 9
		sum(header[offset:][:luks2.CopySize])
		if h, err := luks2.Parse(bytes.NewReader(header)); err != nil || h.Sequence != 9 {
			t.Errorf("younger copy at %d: %+v, %v", offset, h, err)
		}
	}
	header := encode(t, newVMK())
	header[0x1000] ^= 1
	header[luks2.CopySize+0x1000] ^= 1
	if _, err := luks2.Parse(bytes.NewReader(header)); !errors.Is(err, luks2.ErrHeader) || !strings.Contains(err.Error(), "wrong checksum") {
		t.Errorf("two broken copies: %v", err)
	}
	if _, err := luks2.Parse(bytes.NewReader(header[:luks2.CopySize/2])); !errors.Is(err, luks2.ErrHeader) {
		t.Errorf("cut off: %v", err)
	}
}

// FuzzParse mends the checksums, so that what is behind them is reached.
func FuzzParse(f *testing.F) {
	good := encode(f, newVMK())
	f.Add(good, false)
	f.Add(good[:luks2.CopySize+0x1800], true)
	f.Add(damage(f, replace(`"keyslots":{`, `"keyslots":{"7":{},`)), true)
	f.Add(damage(f, func(b []byte) { b[7] = 1 }), true)
	f.Fuzz(func(t *testing.T, header []byte, mend bool) {
		if mend {
			header = append(bytes.Clone(header), make([]byte, luks2.Size)...)[:luks2.Size]
			sum(header[:luks2.CopySize])
			sum(header[luks2.CopySize:])
		}
		h, err := luks2.Parse(bytes.NewReader(header))
		if err != nil {
			if !errors.Is(err, luks2.ErrHeader) && !errors.Is(err, luks2.ErrNotLUKS) {
				t.Errorf("neither error: %v", err)
			}
			return
		}
		if h.PayloadOffset < 0 || h.KeyslotsEnd < luks2.Size || h.SectorSize%512 != 0 || len(h.Label) > 48 {
			t.Errorf("impossible header %+v", h)
		}
	})
}
