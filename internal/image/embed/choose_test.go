package embed

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// TestChoose goes through trials that fail, are confirmed, and have nothing to return to.
func TestChoose(t *testing.T) {
	image := imageOf(t, blankDisk(t), "qcow2")
	put := func(who string, update, trial bool) {
		t.Helper()
		if _, err := embedBundle(t, image, release(t, who), func(o *Options) { o.Update, o.Trial = update, trial }); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(trials int, want Choice) {
		t.Helper()
		got, err := Choose(t.Context(), qemu.Files{Image: image}, trials)
		if err != nil || *got != want {
			t.Fatalf("%+v, %v, want %+v", got, err, want)
		}
	}
	b := func(n int) Choice { return Choice{State: slots.State{Active: slots.B, Trial: true, Launches: n}} }
	a := Choice{State: slots.State{Active: slots.A}}
	put("one", false, false)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	wants(3, a)
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a launch without a trial has written to the disk, %v", err)
	}
	put("two", true, true)
	for n := range 3 {
		wants(3, b(n+1))
	}
	wants(3, Choice{State: a.State, Failed: slots.B})
	wants(3, a)
	put("two", true, true)
	wants(3, b(1))
	if _, err := Activate(t.Context(), qemu.Files{Image: image}, slots.B); err != nil {
		t.Fatal(err)
	}
	wants(1, Choice{State: slots.State{Active: slots.B}})
	put("one", true, true)
	wants(1, Choice{State: slots.State{Active: slots.A, Trial: true, Launches: 1}})
	wants(1, Choice{State: slots.State{Active: slots.B}, Failed: slots.A})
}

// TestChooseWithNothingToReturnTo stays where something is, and goes on counting.
func TestChooseWithNothingToReturnTo(t *testing.T) {
	m := embedded(t, "one")
	p := partition(t, m)
	if err := errors.Join(p.Confirm(), p.Switch(slots.A, true)); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		c, err := choose(m, 1)
		if err != nil || *c != (Choice{State: slots.State{Active: slots.A, Trial: true, Launches: n + 1}}) {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// TestChooseCannotCount: a launch that cannot be counted is none.
func TestChooseCannotCount(t *testing.T) {
	image := imageOf(t, embedded(t, "one"), "raw")
	if _, err := embedBundle(t, image, release(t, "two"), func(o *Options) { o.Update, o.Trial = true, true }); err != nil {
		t.Fatal(err)
	}
	lock, err := lockImage(image)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if c, err := Choose(t.Context(), qemu.Files{Image: image}, 3); err == nil {
		t.Errorf("%+v", c)
	}
}
