package instance_test

import (
	"bytes"
	"errors"
	mathrand "math/rand/v2"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestFirstAndLater boots a golden disk, and twice more.
func TestFirstAndLater(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	key, err := w.boot()
	must(t, err)
	if err := w.ready(key); err != nil || w.row().Generation != 1 || w.paused != 0 {
		t.Fatalf("%v, %+v, log:\n%s", err, w.row(), &w.log)
	}
	w.used = nil // the system has written since
	for generation := uint64(2); generation < 5; generation++ {
		again, err := w.boot()
		must(t, err)
		if err := w.ready(again); err != nil || !bytes.Equal(again, key) || w.row().Generation != generation {
			t.Errorf("boot %d: %v, %+v", generation, err, w.row())
		}
	}
}

// TestEveryCut cuts the power at every write, flush and call between the first unlock and
// init, before the service sees the call and after its answer has left. The next boot ends
// in a ready instance: no honest cut locks an owner out.
func TestEveryCut(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	for name := range losses(0) {
		for left := 0; ; left++ {
			w.fresh()
			w.disk.left = left
			if _, err := w.boot(); err == nil {
				break
			}
			w.disk.cut(losses(uint64(left))[name])
			state := w.row().State
			key, err := w.boot()
			if err == nil {
				err = w.ready(key)
			}
			if err != nil {
				t.Fatalf("%s, cut at %d, instance %s: %v\n%s", name, left, state, err, &w.log)
			}
			if left > 500 {
				t.Fatal("no boot ends")
			}
		}
	}
}

// TestCutsInside cuts at 50 points of the re-encryption of a larger disk, which the next
// boot resumes.
func TestCutsInside(t *testing.T) {
	w := newExt4(t, 32, 14<<20)
	_, err := w.boot()
	must(t, err)
	all := w.disk.done
	if all < 75 {
		t.Fatalf("a first boot has %d operations", all)
	}
	kinds := []string{"all lost", "all kept", "any sectors", "torn records", "records kept"}
	for i := range 50 {
		w.fresh()
		w.disk.left = 15 + i*(all-32)/50
		if _, err := w.boot(); err == nil {
			t.Fatal("no cut")
		}
		w.disk.cut(losses(uint64(i))[kinds[i%len(kinds)]])
		if w.row().State != wire.StateClaimed {
			t.Fatalf("cut at %d: the instance is %s", i, w.row().State)
		}
		key, err := w.boot()
		if err == nil {
			err = w.ready(key)
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// TestCutsWithoutEnd cuts each boot that repeats another, too.
func TestCutsWithoutEnd(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	random := mathrand.New(mathrand.NewPCG(3, 4))
	for range 10 {
		w.fresh()
		for boots := 0; ; boots++ {
			w.disk.left = 8 + random.IntN(30)
			key, err := w.boot()
			if err == nil {
				must(t, w.ready(key))
				break
			}
			if boots > 100 {
				t.Fatalf("no boot ends: %v", err)
			}
			w.disk.cut(losses(uint64(boots))["any sectors"])
		}
	}
}

// TestCutsOfReady cuts the boots of a ready instance at every operation.
func TestCutsOfReady(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	key, err := w.boot()
	must(t, err)
	for name := range losses(0) {
		for left := 0; ; left++ {
			before := w.row().Generation
			w.disk.left = left
			if _, err := w.boot(); err == nil {
				break
			}
			w.disk.cut(losses(uint64(left))[name])
			again, err := w.boot()
			if err == nil {
				err = w.ready(again)
			}
			if err != nil || !bytes.Equal(again, key) || w.row().Generation <= before {
				t.Fatalf("%s, cut at %d: %v, %+v", name, left, err, w.row())
			}
		}
	}
}

// TestServiceIsRestored has a service that forgot that the instance was ready, after the
// system has run: what it wrote is left alone.
func TestServiceIsRestored(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	for range 3 {
		_, err := w.boot()
		must(t, err)
	}
	w.row().State, w.row().Generation = wire.StateClaimed, 0
	copy(w.disk.durable[luks2.PayloadOffset+512<<10:], bytes.Repeat([]byte{7}, 4096)) // the system's
	before := bytes.Clone(w.disk.durable[luks2.PayloadOffset:])
	key, err := w.boot()
	must(t, err)
	w.used = nil
	if err := w.ready(key); err != nil || w.row().Generation != 4 || !bytes.Equal(w.disk.durable[luks2.PayloadOffset:], before) {
		t.Errorf("%v, %+v", err, w.row())
	}
	w.row().Generation = 2 // and one that forgot two boots
	if _, err := w.boot(); err != nil || w.row().Generation != 5 {
		t.Errorf("%v, %+v", err, w.row())
	}
}

// TestResetAndRestored has a service that was restored to the claim before a reset, when the
// power was cut between the copies of the record of the first boot after it.
func TestResetAndRestored(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	w.disk.left = 14 // claimed, and little re-encrypted
	if _, err := w.boot(); err == nil || w.row().State != wire.StateClaimed {
		t.Fatalf("%v, %s", err, w.row().State)
	}
	w.disk.cut(losses(0)["all kept"])
	claimed := *w.row()
	w.service.Add(w.id)
	w.disk.left = 4 // unlock, and one copy
	if _, err := w.boot(); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	w.disk.cut(losses(0)["all lost"])
	w.patient = true
	*w.row() = claimed
	key, err := w.boot()
	if err == nil {
		err = w.arrived(key)
	}
	if err != nil || w.row().State != wire.StateReady {
		t.Errorf("%v, %s\n%s", err, w.row().State, &w.log)
	}
}
