package instance_test

import "testing"

// BenchmarkBoots has what an agent does with service and disk in a boot without instances,
// and in one of a ready instance: one call more, one write and a flush. The rest of a boot,
// some seconds, is the same.
func BenchmarkBoots(b *testing.B) {
	w := newExt4(b, 2, 300_000)
	if _, err := w.boot(); err != nil {
		b.Fatal(err)
	}
	b.Run("ready", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.boot(); err != nil {
				b.Fatal(err)
			}
		}
	})
	w.service.None, w.unlockOnly = true, true
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.boot(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
