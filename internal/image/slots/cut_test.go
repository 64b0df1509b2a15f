package slots

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// cuts yields the partition as it is after each operation, which is what a killed
// program leaves, and with only some of the operations since the last Sync, which is
// what a power cut can leave.
func cuts(start []byte, ops []op, visit func(name string, m *memory)) {
	apply := func(m *memory, o op) { copy(m.b[o.at:], o.data) }
	synced, durable, now := 0, &memory{b: bytes.Clone(start)}, &memory{b: bytes.Clone(start)}
	for i := range len(ops) + 1 {
		if i > 0 {
			apply(now, ops[i-1])
		}
		visit(fmt.Sprintf("%d of %d operations", i, len(ops)), now)
		if i > synced+1 {
			last := ops[i-1]
			before := bytes.Clone(durable.b[last.at:][:len(last.data)])
			apply(durable, last)
			visit(fmt.Sprintf("%d operations and number %d alone", synced, i), durable)
			copy(durable.b[last.at:], before)
		}
		if i < len(ops) && ops[i].data == nil {
			for k := synced; k < i; k++ {
				without := &memory{b: bytes.Clone(durable.b)}
				for _, o := range slices.Concat(ops[synced:k], ops[k+1:i]) {
					apply(without, o)
				}
				visit(fmt.Sprintf("%d operations without number %d", i, k+1), without)
			}
			for _, o := range ops[synced:i] {
				apply(durable, o)
			}
			synced = i + 1
		}
	}
}

// TestCutAnywhere cuts an update at every write. The active slot is whole at any
// moment, the other one is never taken for what it is not, the switch is one write of
// one sector, and a further update always ends well.
func TestCutAnywhere(t *testing.T) {
	m := made(t, 16)
	must(t, opened(t, m).Write(A, tree("one")))
	must(t, opened(t, m).Write(B, tree("old")))
	start := bytes.Clone(m.b)
	m.ops = nil
	p := opened(t, m)
	must(t, p.Write(B, tree("second")))
	writing := len(m.ops)
	must(t, p.Switch(B, true))
	must(t, p.Launched())
	must(t, p.Confirm())
	for _, o := range m.ops[writing:] {
		if o.data != nil && (len(o.data) != 512 || o.at%512 != 0) {
			t.Errorf("a switch of %d bytes at %d", len(o.data), o.at)
		}
	}
	last, seen := "", map[string]int{}
	cuts(start, m.ops, func(name string, m *memory) {
		p := opened(t, m)
		who, err := holds(p, p.State().Active)
		if err != nil {
			t.Fatalf("after %s: the active slot: %v", name, err)
		}
		other, err := holds(p, p.State().Other())
		if errors.Is(err, ErrSlot) {
			other = "damaged"
		} else if err != nil {
			t.Fatalf("after %s: the other slot: %v", name, err)
		}
		last = fmt.Sprintf("%s, %s, %v", who, other, p.State().Trial)
		seen[last]++
		if p.State().Active == A {
			again := opened(t, &memory{b: bytes.Clone(m.b)})
			must(t, again.Write(B, tree("again")))
			if who, err := holds(again, B); who != "again" {
				t.Fatalf("after %s: once more: %q, %v", name, who, err)
			}
		}
	})
	for _, want := range []string{"one, old, false", "one, damaged, false", "one, -, false", "one, second, false", "second, one, true", "second, one, false"} {
		if seen[want] == 0 {
			t.Errorf("never seen: %s", want)
		}
		delete(seen, want)
	}
	if len(seen) != 0 || last != "second, one, false" {
		t.Errorf("in between: %v, at the end %s", seen, last)
	}
}
