package embed

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// recorder is a disk that keeps what is done to it.
type recorder struct {
	*memory
	mu  sync.Mutex
	ops []op
}

// op is a write or, without data, a Sync.
type op struct {
	offset int64
	data   []byte
}

func (o op) apply(m *memory) { copy(m.b[o.offset:], o.data) }

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
			place := durable.b[last.offset:][:len(last.data)]
			before := bytes.Clone(place)
			last.apply(durable)
			visit(fmt.Sprintf("%d operations and number %d alone", synced, i), durable)
			copy(place, before)
		}
		if i < len(ops) && ops[i].data == nil {
			for _, o := range ops[synced:i] {
				o.apply(durable)
			}
			synced = i + 1
		}
	}
	return now
}

// recorded does something to a disk in memory and returns what was done.
func recorded(m *memory, do func(writable)) []op {
	r := &recorder{memory: &memory{bytes.Clone(m.b)}}
	do(r)
	return r.ops
}

// state says what is active on a disk, after looking at everything that has to be
// as it was on a blank one.
func state(t *testing.T, name string, m, blank *memory) string {
	t.Helper()
	kept(t, m, blank)
	a, err := read(m)
	if err != nil {
		t.Fatalf("after %s: %v", name, err)
	}
	s := a.any(a.State.Active)
	if s.Empty() || s.Damaged() != nil {
		return "none"
	}
	line, err := cmdlineOf(s)
	if err != nil {
		t.Fatalf("after %s: %v", name, err)
	}
	return s.Name + " " + line
}

// TestCutAnywhere cuts each kind of change at every write. The disk has what it had,
// then at one moment what it should have.
func TestCutAnywhere(t *testing.T) {
	one, two, three := release(t, "one"), release(t, "two"), release(t, "three")
	blank := blankDisk(t)
	disk := blank
	embed := func(data []byte, update bool) func(writable) {
		return func(w writable) { put(t, w, data, update) }
	}
	for _, tc := range []struct {
		name, was, want string
		do              func(writable)
	}{
		{"made", "none", "A one", embed(one, false)},
		{"updated", "A one", "B two", embed(two, true)},
		{"updated again", "B two", "A three", embed(three, true)},
		{"renewed", "A three", "B one", embed(one, false)},
		{"updated from there", "B one", "A two", embed(two, true)},
		{"switched", "A two", "B one", func(w writable) {
			if changed, err := activate(w, slots.B); err != nil || !changed {
				t.Fatal(changed, err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now, turns := tc.was, 0
			ops := recorded(disk, tc.do)
			last := cuts(disk, ops, func(name string, m *memory) {
				got := state(t, name, m, blank)
				if got != tc.was && got != tc.want {
					t.Fatalf("after %s: %q, was %q", name, got, tc.was)
				}
				if got != now {
					turns++
					now = got
				}
			})
			// A slot that holds nothing is filled where it is.
			if turns != 1 && tc.was != "none" || now != tc.want || len(ops) < 3 {
				t.Errorf("it changed %d times in %d operations, to %q", turns, len(ops), now)
			}
			disk = last
		})
	}
}
