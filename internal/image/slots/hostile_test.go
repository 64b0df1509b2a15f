package slots

import (
	"bytes"
	"errors"
	"testing"
)

// within reports whether operations keep to a slot's own places.
func within(tb testing.TB, p *Partition, ops []op, slot string) bool {
	tb.Helper()
	l, err := p.plan(slot, nil).layOut()
	must(tb, err)
	room := (p.size - int64(len(l.Head))) / 2 / blockSize * blockSize
	data := int64(len(l.Head))
	if slot == B {
		data += room
	}
	for _, o := range ops {
		inside := o.data == nil
		for _, s := range append(own(l, slot), span{data, room}) {
			inside = inside || o.at >= s.at && o.at+int64(len(o.data)) <= s.at+s.length
		}
		if !inside {
			return false
		}
	}
	return true
}

// TestHostilePartitions changes what describes the file system, byte by byte. Whatever it
// was, the partition is refused, or the slot, or an update keeps to its own places.
func TestHostilePartitions(t *testing.T) {
	m := made(t, 8)
	must(t, opened(t, m).Write(A, tree("1")))
	must(t, opened(t, m).Write(B, tree("2")))
	p := opened(t, m)
	spans := map[string][]span{A: own(p.empty, A), B: own(p.empty, B)}
	sector := int(links(p.empty).at)
	hostile := &memory{b: bytes.Clone(m.b)}
	for at := 0; at < len(p.empty.Head); at += step(at, sector) {
		copy(hostile.b, m.b[:len(p.empty.Head)])
		hostile.b[at] ^= 1 << (at % 8)
		in := ""
		for slot, list := range spans {
			for _, s := range list {
				if int64(at) >= s.at && int64(at) < s.at+s.length {
					in = slot
				}
			}
		}
		p, err := Open(hostile, int64(len(hostile.b)))
		if in == "" {
			if !errors.Is(err, ErrLayout) {
				t.Fatalf("byte %d: %v", at, err)
			}
			continue
		}
		must(t, err)
		if _, err := p.Slot(in); !errors.Is(err, ErrSlot) {
			t.Fatalf("byte %d, slot %s: %v", at, in, err)
		}
		if at%5 != 0 {
			continue
		}
		hostile.ops = nil
		must(t, p.Write(B, tree("3")))
		if !within(t, p, hostile.ops, B) {
			t.Fatalf("byte %d: written outside of the slot", at)
		}
		if who, err := holds(p, B); who != "3" {
			t.Fatalf("byte %d: %q, %v", at, who, err)
		}
	}
}

// step is small in the sector with the links, and elsewhere such that all kinds of
// fields are met.
func step(at, sector int) int {
	const far = 3001
	if at >= sector-far && at < sector {
		return sector - at
	}
	if at >= sector && at < sector+512 {
		return 3
	}
	return far
}

// TestOtherPartitions: another size, another UUID in half of the places, noise.
func TestOtherPartitions(t *testing.T) {
	m := made(t, 16)
	for name, b := range map[string][]byte{
		"shorter": m.b[:15<<20], "empty": {}, "zeros": make([]byte, 16<<20), "short": m.b[:100], "cut": m.b[:MinSize],
		"longer": append(bytes.Clone(m.b), make([]byte, 4096)...),
		"UUID":   append(append(bytes.Clone(m.b[:offUUID]), 7), m.b[offUUID+1:]...),
	} {
		if _, err := Open(&memory{b: b}, int64(len(b))); !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(&memory{b: m.b[:1000]}, 16<<20); err == nil {
		t.Error("a partition that ends early was taken")
	}
}

// TestHostileLinks have the right checksums, and say what is never written.
func TestHostileLinks(t *testing.T) {
	m := made(t, 16)
	p := opened(t, m)
	for _, s := range []State{{Active: "C"}, {Active: "a"}, {Active: "../A"}, {Active: "A/"}, {Active: A, Trial: true, Launches: maxLaunches + 1}, {Active: B, Trial: true, Launches: -1}} {
		sector, err := p.encode(s)
		must(t, err)
		copy(m.b[links(p.empty).at:], sector)
		if p, err := Open(m, int64(len(m.b))); !errors.Is(err, ErrLayout) {
			t.Errorf("%+v: %+v, %v", s, p, err)
		}
	}
}

// FuzzPartition changes a partition of two slots in many places, and then plays the
// guest: it may be refused, but it never writes outside of the slot.
func FuzzPartition(f *testing.F) {
	m := made(f, 8)
	must(f, opened(f, m).Write(A, tree("1")))
	must(f, opened(f, m).Write(B, tree("2")))
	p := opened(f, m)
	for _, slot := range []string{A, B} {
		for _, s := range own(p.empty, slot) {
			f.Add(uint32(s.at), []byte{1, 2, 3, 4})
			f.Add(uint32(s.at+300), m.b[s.at:][:256])
		}
	}
	link := links(p.empty).at
	f.Add(uint32(link+0x28), []byte("B"))
	f.Add(uint32(1024), []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, at uint32, data []byte) {
		if int64(at)+int64(len(data)) > int64(len(p.empty.Head)) {
			return
		}
		hostile := &memory{b: bytes.Clone(m.b)}
		copy(hostile.b[at:], data)
		p, err := Open(hostile, int64(len(hostile.b)))
		if err != nil {
			return
		}
		for _, slot := range []string{A, B} {
			if s, err := p.Slot(slot); err == nil {
				for name := range s.Files {
					_, _ = s.ReadFile(name, 1<<20)
				}
			}
		}
		other := p.State().Other()
		hostile.ops = nil
		if err := p.Write(other, tree("3")); err == nil && !within(t, p, hostile.ops, other) {
			t.Fatal("written outside of the slot")
		}
	})
}
