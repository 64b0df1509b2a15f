package instancedisk_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	. "github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
)

const (
	imageHex    = "a000000000000000000000000000000f"
	instanceHex = "b000000000000000000000000000000e"
)

func id() ID {
	return ID{Image: [16]byte{0: 0xA0, 15: 0x0F}, Instance: [16]byte{0: 0xB0, 15: 0x0E}}
}

// hash is 32 bytes of one value.
func hash(b byte) [32]byte { return [32]byte(bytes.Repeat([]byte{b}, 32)) }

func must(tb testing.TB) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
}

func key(k Kind) []byte { return []byte{byte(k)} }

func chunk() JournalRecord {
	return JournalRecord{Kind: Chunk, Sealed: hash(0xC1), Sequence: 7, Place: 0x600000, Length: BufferSize, Buffer: hash(0xC2)}
}

// format is one of the records, filled, and how it is read and written.
type format struct {
	record []byte
	want   string // its first bytes
	sum    bool   // a checksum or code covers it
	again  func(b []byte) ([]byte, error)
}

func formats(tb testing.TB) map[string]format {
	tb.Helper()
	check := must(tb)
	return map[string]format{
		"instance record": {
			check(EncodeRecord(id(), []byte("sealed"))),
			"534e5047494e5300" + "01000000" + "06000000" + imageHex + instanceHex +
				"f890b6d3640030aa871401aabfda6086afa2b9fca4fb8ba208ab7621223e3762" + "7365616c6564", true,
			func(b []byte) ([]byte, error) {
				sealed, err := DecodeRecord(b, id())
				if err != nil {
					return nil, err
				}
				return EncodeRecord(id(), sealed)
			},
		},
		"generation": {
			EncodeGeneration(id(), Generation{0x0102030405060708, hash(0xD1)}),
			"534e504747454e00" + "01000000" + "00000000" + imageHex + instanceHex + "0807060504030201" + strings.Repeat("d1", 32), false,
			func(b []byte) ([]byte, error) {
				g, err := DecodeGeneration(b, id())
				return EncodeGeneration(id(), g), err
			},
		},
		"receipt": {
			EncodeReceipt(id(), Receipt{hash(0xE1), [64]byte(bytes.Repeat([]byte{0xE2}, 64))}),
			"534e504752435400" + "01000000" + "00000000" + imageHex + instanceHex + strings.Repeat("e1", 32) + strings.Repeat("e2", 64), false,
			func(b []byte) ([]byte, error) {
				r, err := DecodeReceipt(b, id())
				return EncodeReceipt(id(), r), err
			},
		},
		"recovery": {
			check(EncodeRecovery(id(), Recovery{hash(0xF1), []byte("age")})),
			"534e504752435600" + "01000000" + "03000000" + imageHex + instanceHex + strings.Repeat("f1", 32) +
				"774369cc99713c6a206c18351205a16137cb46250a0c6eace69600e5770415f2" + "616765", true,
			func(b []byte) ([]byte, error) {
				r, err := DecodeRecovery(b, id())
				if err != nil {
					return nil, err
				}
				return EncodeRecovery(id(), r)
			},
		},
		"journal": {
			EncodeJournal(id(), chunk(), key(Chunk)),
			"534e50474a524e00" + "01000000" + "02000000" + imageHex + instanceHex + strings.Repeat("c1", 32) +
				"0700000000000000" + "0000600000000000" + "0000100000000000" + strings.Repeat("c2", 32) +
				strings.Repeat("00", 344) + "79db62b4be3b21e54b733ae67531a7cd139162adae02c638d85f063bd0baa402", true,
			func(b []byte) ([]byte, error) {
				r, err := DecodeJournal(b, id(), key)
				return EncodeJournal(id(), r, key(r.Kind)), err
			},
		},
	}
}

// TestLayout holds the bytes and offsets of docs/disk-format.md. Checksums and code were
// computed with Python from that page.
func TestLayout(t *testing.T) {
	for name, f := range formats(t) {
		if got := hex.EncodeToString(f.record); !strings.HasPrefix(got, f.want) {
			t.Errorf("%s: %.300s", name, got)
		}
	}
	const k, m = 1 << 10, 1 << 20
	for name, tc := range map[string][2]int64{
		"first record": {RecordAt(0), 12*m + 4*k}, "second record": {RecordAt(1), 12*m + 8*k},
		"first generation": {GenerationAt(0), 12*m + 12*k}, "second generation": {GenerationAt(1), 12*m + 16*k},
		"receipt": {ReceiptOffset, 12*m + 32*k}, "recovery": {RecoveryOffset, 12*m + 64*k},
		"even buffer": {BufferAt(4), 13 * m}, "odd buffer": {BufferAt(1<<64 - 1), 14 * m},
		"even journal": {JournalAt(1 << 63), 15 * m}, "odd journal": {JournalAt(5), 15*m + 4*k}, "payload": {End, 16 * m},
	} {
		if tc[0] != tc[1] {
			t.Errorf("%s at %d, want %d", name, tc[0], tc[1])
		}
	}
}

// TestEncodedIsDecoded has each decoder give back what was encoded, bit by bit.
func TestEncodedIsDecoded(t *testing.T) {
	for name, f := range formats(t) {
		if again, err := f.again(f.record); err != nil || !bytes.Equal(again, f.record) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := bytes.Repeat([]byte{1}, MaxSealed)
	if got, err := DecodeRecord(must(t)(EncodeRecord(id(), full)), id()); err != nil || !bytes.Equal(got, full) {
		t.Errorf("full record: %v", err)
	}
	full = bytes.Repeat([]byte{1}, MaxEncrypted)
	if got, err := DecodeRecovery(must(t)(EncodeRecovery(id(), Recovery{Encrypted: full})), id()); err != nil || !bytes.Equal(got.Encrypted, full) {
		t.Errorf("full recovery: %v", err)
	}
	for _, n := range []int{0, MaxSealed + 1} {
		if _, err := EncodeRecord(id(), make([]byte, n)); err == nil {
			t.Errorf("a secret of %d bytes is encoded", n)
		}
	}
	for _, n := range []int{0, MaxEncrypted + 1} {
		if _, err := EncodeRecovery(id(), Recovery{Encrypted: make([]byte, n)}); err == nil {
			t.Errorf("a key of %d bytes is encoded", n)
		}
	}
}

// TestDamageIsRefused changes every part of every record.
func TestDamageIsRefused(t *testing.T) {
	for name, f := range formats(t) {
		for damage, change := range map[string]func(b []byte) []byte{
			"empty":        func([]byte) []byte { return nil },
			"a byte less":  func(b []byte) []byte { return b[1:] },
			"a byte more":  func(b []byte) []byte { return append(b, 0) },
			"zeros":        func(b []byte) []byte { return make([]byte, len(b)) },
			"magic":        set(7, 1),
			"version 0":    set(8, 0),
			"version 2":    set(8, 2),
			"high version": set(11, 1),
			"high word":    set(15, 0xFF),
			"last byte":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"middle":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		} {
			if _, err := f.again(change(bytes.Clone(f.record))); !errors.Is(err, ErrForm) && (!f.sum || !errors.Is(err, ErrMAC)) {
				t.Errorf("%s, %s: %v", name, damage, err)
			}
		}
		for _, at := range []int{16, 31, 32, 47} {
			if _, err := f.again(set(at, 0x77)(bytes.Clone(f.record))); !errors.Is(err, ErrID) {
				t.Errorf("%s, byte %d: %v", name, at, err)
			}
		}
		if !f.sum {
			continue
		}
		for at := 48; at < 150; at++ {
			if _, err := f.again(set(at, f.record[at]^0x10)(bytes.Clone(f.record))); err == nil {
				t.Errorf("%s: byte %d does not count", name, at)
			}
		}
	}
	for _, word := range []byte{0, 5, 7} { // lengths of nothing, of less and of more
		if _, err := DecodeRecord(set(12, word)(must(t)(EncodeRecord(id(), []byte("sealed")))), id()); !errors.Is(err, ErrForm) {
			t.Errorf("length of %d: %v", word, err)
		}
	}
	if _, err := DecodeGeneration(EncodeGeneration(id(), Generation{}), id()); !errors.Is(err, ErrForm) {
		t.Errorf("generation 0: %v", err)
	}
}

// set returns a damage that changes one byte.
func set(at int, value byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] = value
		return b
	}
}

// TestFieldsSuitTheKind encodes records of the journal that nobody would make.
func TestFieldsSuitTheKind(t *testing.T) {
	with := func(change func(r *JournalRecord)) JournalRecord {
		r := chunk()
		change(&r)
		return r
	}
	for name, r := range map[string]JournalRecord{
		"kind 0":           with(func(r *JournalRecord) { r.Kind = 0 }),
		"kind 4":           with(func(r *JournalRecord) { r.Kind = 4 }),
		"chunk 0":          with(func(r *JournalRecord) { r.Sequence = 0 }),
		"negative place":   with(func(r *JournalRecord) { r.Place = -1 }),
		"no length":        with(func(r *JournalRecord) { r.Length = 0 }),
		"negative length":  with(func(r *JournalRecord) { r.Length = -1 }),
		"long":             with(func(r *JournalRecord) { r.Length++ }),
		"start later":      {Kind: Start, Sequence: 1},
		"start elsewhere":  {Kind: Start, Place: 1},
		"start of a chunk": {Kind: Start, Length: 1, Buffer: hash(1)},
		"end 0":            {Kind: Done},
		"end of a chunk":   {Kind: Done, Sequence: 3, Length: 1},
		"end with a hash":  {Kind: Done, Sequence: 3, Buffer: hash(1)},
		"end nowhere":      {Kind: Done, Sequence: 3, Place: -1},
	} {
		if got, err := DecodeJournal(EncodeJournal(id(), r, key(r.Kind)), id(), key); !errors.Is(err, ErrForm) || got != (JournalRecord{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, r := range []JournalRecord{chunk(), {Kind: Start, Sealed: hash(1)}, {Kind: Done, Sequence: 3, Place: 4}} {
		if got, err := DecodeJournal(EncodeJournal(id(), r, key(r.Kind)), id(), key); err != nil || got != r {
			t.Errorf("%+v: %+v, %v", r, got, err)
		}
		if _, err := DecodeJournal(EncodeJournal(id(), r, key(r.Kind+1)), id(), key); !errors.Is(err, ErrMAC) {
			t.Errorf("%+v, with another key: %v", r, err)
		}
	}
}

// disk has records at their places, and ends where the buffers begin.
func disk(records map[int64][]byte) *bytes.Reader {
	b := make([]byte, 13<<20)
	for at, record := range records {
		copy(b[at:], record)
	}
	return bytes.NewReader(b)
}

// TestReadRecords reads disks on which the copies are whole, torn, of two first boots, or not
// of this instance.
func TestReadRecords(t *testing.T) {
	one, two := must(t)(EncodeRecord(id(), []byte("one"))), must(t)(EncodeRecord(id(), []byte("two")))
	torn := append(bytes.Clone(two[:512]), make([]byte, RecordSize-512)...)
	torn[600] = 1
	other := must(t)(EncodeRecord(ID{Image: id().Image}, []byte("one")))
	for name, tc := range map[string]struct {
		a, b []byte
		want string
		err  error
	}{
		"both":        {one, one, "one", nil},
		"first torn":  {torn, one, "one", nil},
		"second torn": {one, torn, "one", nil},
		"two boots":   {two, one, "two one", nil},
		"none":        {nil, nil, "", ErrForm},
		"another's":   {other, other, "", ErrID},
	} {
		found, err := ReadRecords(disk(map[int64][]byte{RecordAt(0): tc.a, RecordAt(1): tc.b}), id())
		if got := string(bytes.Join(found, []byte(" "))); got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := ReadRecords(bytes.NewReader(nil), id()); err == nil {
		t.Error("read from nothing")
	}
}

// TestNewestGeneration picks the highest authentic one, and the place of the older.
func TestNewestGeneration(t *testing.T) {
	right := func(g Generation) bool { return g.MAC == hash(1) }
	record := func(number uint64, mac byte) []byte { return EncodeGeneration(id(), Generation{number, hash(mac)}) }
	for name, tc := range map[string]struct {
		a, b   []byte
		number uint64
		next   int
		err    error
	}{
		"second is newer": {record(4, 1), record(5, 1), 5, 0, nil},
		"first is newer":  {record(6, 1), record(5, 1), 6, 1, nil},
		"the first boot":  {record(1, 1), nil, 1, 1, nil},
		"first is torn":   {nil, record(5, 1), 5, 0, nil},
		"forged":          {record(4, 1), record(1<<63, 2), 4, 1, nil},
		"both alike":      {record(4, 1), record(4, 1), 4, 1, nil},
		"both forged":     {record(4, 2), record(5, 2), 0, 0, ErrNoGeneration},
		"none":            {nil, nil, 0, 0, ErrNoGeneration},
		"another's":       {EncodeGeneration(ID{}, Generation{9, hash(1)}), nil, 0, 0, ErrNoGeneration},
	} {
		found, err := ReadGenerations(disk(map[int64][]byte{GenerationAt(0): tc.a, GenerationAt(1): tc.b}), id())
		if err != nil {
			t.Fatal(err)
		}
		if number, next, err := Newest(found, right); number != tc.number || next != tc.next || !errors.Is(err, tc.err) {
			t.Errorf("%s: %d, next at %d, %v", name, number, next, err)
		}
	}
	if _, err := ReadGenerations(bytes.NewReader(nil), id()); err == nil {
		t.Error("read from nothing")
	}
}

// FuzzRecords wants every record that a decoder accepts to be the one that its encoder makes.
func FuzzRecords(f *testing.F) {
	sizes := map[string]int{}
	for name, format := range formats(f) {
		sizes[name] = len(format.record)
		f.Add(bytes.TrimRight(format.record, "\x00"))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, format := range formats(t) {
			padded := b
			if len(b) < sizes[name] {
				padded = append(bytes.Clone(b), make([]byte, sizes[name]-len(b))...)
			}
			if again, err := format.again(padded); err == nil && !bytes.Equal(again, padded) {
				t.Errorf("%s: not encoded again", name)
			}
		}
	})
}
