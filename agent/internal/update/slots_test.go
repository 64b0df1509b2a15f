package update_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/update"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func TestRealSlots(t *testing.T) {
	const size = 256 << 20
	w := newWorld(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "partition"))
	must(t, err)
	must(t, f.Truncate(size))
	head, err := slots.Make([16]byte{1}, size)
	must(t, err)
	_, err = f.WriteAt(head, 0)
	must(t, err)
	open := func() *slots.Partition {
		p, err := slots.Open(f, size)
		must(t, err)
		return p
	}
	guest := func() *update.Guest {
		g := w.guest()
		g.Open = func() (update.Slots, func() error, error) { return open(), func() error { return nil }, nil }
		return g
	}
	release := wire.NewUUID()
	w.offer(release, "kernel 2")
	must(t, guest().Update(t.Context(), update.Options{Reboot: true}))
	if s := open().State(); s != (slots.State{Active: slots.B, Trial: true}) {
		t.Fatalf("state %+v", s)
	}
	if k, err := open().ReadFile(slots.B, bundle.NameKernel, 1<<20); err != nil || string(k) != "kernel 2" {
		t.Fatalf("%q, %v", k, err)
	}
	must(t, open().Launched())
	w.boots("second")
	w.runs(release)
	must(t, guest().Confirm(t.Context()))
	if s := open().State(); s != (slots.State{Active: slots.B}) {
		t.Fatalf("state %+v\n%s", s, w.log.String())
	}
	// The next one goes to A, and fails.
	third := wire.NewUUID()
	w.offer(third, "kernel 3")
	must(t, guest().Update(t.Context(), update.Options{Reboot: true}))
	w.boots("fourth")
	w.offer(wire.NewUUID(), "kernel 4")
	must(t, guest().Update(t.Context(), update.Options{}))
	if s := open().State(); s != (slots.State{Active: slots.A, Trial: true}) {
		t.Fatalf("state %+v", s)
	}
	if k, err := open().ReadFile(slots.B, bundle.NameKernel, 1<<20); err != nil || string(k) != "kernel 2" {
		t.Fatalf("the running release is gone: %q, %v", k, err)
	}
}
