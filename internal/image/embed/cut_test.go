package embed

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// recorder is a disk that keeps what is done to it.
type recorder struct {
	*memory
	mu  sync.Mutex
	ops []op
}

// op is a write, a wipe or, with neither, a Sync.
type op struct {
	offset int64
	data   []byte
	zero   int64
}

func (o op) sync() bool { return o.data == nil && o.zero == 0 }

func (o op) apply(m *memory) {
	clear(m.b[o.offset : o.offset+o.zero])
	copy(m.b[o.offset:], o.data)
}

func (r *recorder) record(o op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
	o.apply(r.memory)
}

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.record(op{offset: off, data: bytes.Clone(p)})
	return len(p), nil
}

func (r *recorder) Zero(off, length int64) error {
	r.record(op{offset: off, zero: length})
	return nil
}

func (r *recorder) Sync() error {
	r.record(op{})
	return nil
}

// cuts yields the disk as it is after each operation, which is what a killed
// command leaves, and with only some of the operations since the last Sync, which
// is what a power cut can leave. The disk is the visitor's until it returns; the
// disk after all of them is returned.
func cuts(start *memory, ops []op, visit func(name string, m *memory)) *memory {
	synced, durable, now := 0, &memory{bytes.Clone(start.b)}, &memory{bytes.Clone(start.b)}
	for i := range len(ops) + 1 {
		if i > 0 {
			ops[i-1].apply(now)
		}
		visit(fmt.Sprintf("%d of %d operations", i, len(ops)), now)
		if i > synced+1 {
			last := ops[i-1]
			place := durable.b[last.offset:][:max(int64(len(last.data)), last.zero)]
			before := bytes.Clone(place)
			last.apply(durable)
			visit(fmt.Sprintf("%d operations and number %d alone", synced, i), durable)
			copy(place, before)
		}
		if i < len(ops) && ops[i].sync() {
			for _, o := range ops[synced:i] {
				o.apply(durable)
			}
			synced = i + 1
		}
	}
	return now
}

// recorded embeds a bundle into a disk in memory and returns what was done.
func recorded(t *testing.T, m *memory, data []byte, update bool) (grown *memory, ops []op) {
	t.Helper()
	o := &Options{Config: Config{Update: update, Size: "24M"}, Reader: bytes.NewReader(data), Trust: trust()}
	in, err := o.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.check(); err != nil {
		t.Fatal(err)
	}
	e := &embedding{Options: o, incoming: in, slot: SlotA}
	p, err := e.planDisk(m)
	if err != nil {
		t.Fatal(err)
	}
	grown = &memory{append(bytes.Clone(m.b), make([]byte, p.disk-m.Size())...)}
	r := &recorder{memory: &memory{bytes.Clone(grown.b)}}
	if err := e.install(t.Context(), r, p); err != nil {
		t.Fatal(err)
	}
	return grown, r.ops
}

// state says what is active on a disk, after looking at everything that has to be
// as it was on a blank one.
func state(t *testing.T, name string, m, blank *memory) string {
	t.Helper()
	if !bytes.Equal(m.b[1<<20:7<<20], blank.b[1<<20:7<<20]) || !bytes.HasPrefix(m.b, []byte("boot code")) {
		t.Fatalf("after %s: the root has changed", name)
	}
	// Linux takes the primary table alone.
	backup := m.b[len(m.b)-512:]
	before := bytes.Clone(backup)
	clear(backup)
	table, err := gpt.Read(m, m.Size(), 512)
	copy(backup, before)
	if err != nil {
		t.Fatalf("after %s: %v", name, err)
	}
	if p := table.Find(gpt.GUID{2}); p == nil || p.First != 2048 || p.Last != 7*2048-1 || p.Number != 1 {
		t.Fatalf("after %s: the root is %+v", name, p)
	}
	a, err := read(m)
	if errors.Is(err, ErrNone) {
		return "none"
	}
	if err != nil {
		t.Fatalf("after %s: %v", name, err)
	}
	s, err := a.Active()
	if err != nil {
		t.Fatalf("after %s: %v", name, err)
	}
	line, err := cmdlineOf(s)
	if err != nil {
		t.Fatalf("after %s: %v", name, err)
	}
	return s.Name + " " + line
}

// TestCutAnywhere cuts each kind of change at every write. The disk has what it
// had, then at one moment what it should have, and a further run always ends well.
func TestCutAnywhere(t *testing.T) {
	one, two := release(t, "one"), release(t, "two")
	blank := blankDisk(t)
	disk, was := blank, "none"
	for _, tc := range []struct {
		name, want string
		data       []byte
		update     bool
	}{
		{"made", "A one", one, false},
		{"renewed in new space", "A two", two, false},
		{"updated in old space", "B one", one, true},
		{"renewed in old space", "A two", two, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start, ops := recorded(t, disk, tc.data, tc.update)
			now, turns := was, 0
			last := cuts(start, ops, func(name string, m *memory) {
				got := state(t, name, m, blank)
				if got != was && got != tc.want {
					t.Fatalf("after %s: %q, was %q", name, got, was)
				}
				if got != now {
					turns++
					now = got
				}
			})
			if turns != 1 || now != tc.want {
				t.Errorf("it changed %d times, to %q", turns, now)
			}
			if len(ops) < 12 {
				t.Errorf("only %d operations", len(ops))
			}
			disk, was = last, tc.want
		})
	}
}

// TestCutActivate: the switch is one write of one sector.
func TestCutActivate(t *testing.T) {
	disk := blankDisk(t)
	for i, name := range []string{"one", "two"} {
		start, ops := recorded(t, disk, release(t, name), i == 1)
		for _, o := range ops {
			o.apply(start)
		}
		disk = start
	}
	r := &recorder{memory: &memory{bytes.Clone(disk.b)}}
	if changed, err := activate(r, SlotA); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if len(r.ops) != 2 || len(r.ops[0].data) != 512 || r.ops[0].offset%512 != 0 || !r.ops[1].sync() {
		t.Fatalf("%d operations", len(r.ops))
	}
	if got := state(t, "all", disk, blankDisk(t)); got != "B two" {
		t.Errorf("before: %q", got)
	}
	if got := state(t, "all", r.memory, blankDisk(t)); got != "A one" {
		t.Errorf("after: %q", got)
	}
}
