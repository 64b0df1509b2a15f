package vmkrecord_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func image() [16]byte { return [16]byte{0: 0xA0, 15: 0x0F} }

func encode(tb testing.TB, sealed []byte) []byte {
	tb.Helper()
	record, err := vmkrecord.Encode(image(), sealed)
	if err != nil {
		tb.Fatal(err)
	}
	return record
}

// TestLayout holds the bytes of docs/disk-format.md.
func TestLayout(t *testing.T) {
	const want = "534e5047564d4b00" + "01000000" + "06000000" + "a000000000000000000000000000000f" + "7365616c6564"
	record := encode(t, []byte("sealed"))
	if len(record) != vmkrecord.Size || hex.EncodeToString(record[:38]) != want || !bytes.Equal(record[38:], make([]byte, 4096-38)) {
		t.Errorf("%d bytes, %x", len(record), record[:40])
	}
	if vmkrecord.Offset != 12582912 || vmkrecord.Size != 4096 {
		t.Error("the record is elsewhere")
	}
}

func TestEncodedIsDecoded(t *testing.T) {
	for _, size := range []int{1, wire.SealedVMKSize, vmkrecord.MaxSealed} {
		sealed := bytes.Repeat([]byte{0}, size) // zeros are content too
		record := encode(t, sealed)
		got, err := vmkrecord.Decode(record, image())
		if err != nil || !bytes.Equal(got, sealed) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		record[32]++
		if len(got) == size && got[0] != 0 {
			t.Errorf("%d bytes: not a copy", size)
		}
	}
	for _, size := range []int{0, vmkrecord.MaxSealed + 1} {
		if _, err := vmkrecord.Encode(image(), make([]byte, size)); err == nil {
			t.Errorf("%d bytes: encoded", size)
		}
	}
}

func TestDamageIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(record []byte) []byte
		want   error
	}{
		"empty":          {func([]byte) []byte { return nil }, vmkrecord.ErrRecord},
		"a byte less":    {func(r []byte) []byte { return r[:len(r)-1] }, vmkrecord.ErrRecord},
		"a byte more":    {func(r []byte) []byte { return append(r, 0) }, vmkrecord.ErrRecord},
		"zeros":          {func(r []byte) []byte { return make([]byte, len(r)) }, vmkrecord.ErrRecord},
		"magic":          {set(7, 1), vmkrecord.ErrRecord},
		"version 0":      {set(8, 0), vmkrecord.ErrRecord},
		"version 2":      {set(8, 2), vmkrecord.ErrRecord},
		"high version":   {set(11, 1), vmkrecord.ErrRecord},
		"nothing sealed": {set(12, 0), vmkrecord.ErrRecord},
		"length less":    {set(12, 5), vmkrecord.ErrRecord},
		"huge length":    {set(15, 0xFF), vmkrecord.ErrRecord},
		"length of 4065": {func(r []byte) []byte { return set(13, 0x0F)(set(12, 0xE1)(r)) }, vmkrecord.ErrRecord},
		"last byte":      {set(4095, 1), vmkrecord.ErrRecord},
		"image":          {set(16, 0xA1), vmkrecord.ErrImage},
		"image's end":    {set(31, 0), vmkrecord.ErrImage},
	} {
		got, err := vmkrecord.Decode(tc.damage(encode(t, []byte("sealed"))), image())
		if !errors.Is(err, tc.want) || got != nil {
			t.Errorf("%s: got %x, %v", name, got, err)
		}
	}
}

// set returns a damage that changes one byte.
func set(at int, value byte) func([]byte) []byte {
	return func(record []byte) []byte {
		record[at] = value
		return record
	}
}

// FuzzDecode wants every record that is taken to be the one that Encode makes.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, []byte("sealed")))
	f.Add(encode(f, make([]byte, vmkrecord.MaxSealed)))
	f.Add(set(16, 1)(encode(f, []byte{1})))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		sealed, err := vmkrecord.Decode(record, image())
		if err != nil {
			return
		}
		if again, err := vmkrecord.Encode(image(), sealed); err != nil || !bytes.Equal(again, record) {
			t.Errorf("not encoded again: %v", err)
		}
	})
}
