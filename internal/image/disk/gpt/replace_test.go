package gpt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// recorder is a disk in memory that keeps what is written, and where Sync was
// called.
type recorder struct {
	memory
	writes []write
}

type write struct {
	offset int64
	data   []byte
	sync   bool
}

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.writes = append(r.writes, write{offset: off, data: bytes.Clone(p)})
	return r.memory.WriteAt(p, off)
}

func (r *recorder) Sync() error {
	r.writes = append(r.writes, write{sync: true})
	return nil
}

// cuts yields what a power cut can leave: everything up to some Sync, and any of
// the writes since then.
func cuts(start memory, writes []write, visit func(name string, m memory)) {
	synced := 0
	for i := range len(writes) + 1 {
		if i < len(writes) && !writes[i].sync {
			continue
		}
		open := writes[synced:i]
		for which := range 1 << len(open) {
			m := memory(bytes.Clone(start))
			for _, w := range writes[:synced] {
				copy(m[w.offset:], w.data)
			}
			for k, w := range open {
				if which&(1<<k) != 0 {
					copy(m[w.offset:], w.data)
				}
			}
			visit(fmt.Sprintf("%d writes and of the next %d those of %b", synced, len(open), which), m)
		}
		synced = i + 1
	}
}

// TestReplaceIsOneWrite cuts the power at every moment of replacing a table: the
// primary is always whole, with the old partitions first and the new ones then,
// on a disk that has grown and on one that has not.
func TestReplaceIsOneWrite(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		for _, grown := range []int64{0, 4 << 20} {
			before := cloud(t, sectorSize)
			start := written(t, before, size)
			copy(start, "boot code")
			start = append(start, make(memory, grown)...)
			after, err := gpt.Read(start, int64(len(start)), sectorSize)
			if err != nil {
				t.Fatal(err)
			}
			after.Partitions[0].Last--
			replace(t, start, before, after)
		}
	}
}

func replace(t *testing.T, start memory, before, after *gpt.Table) {
	t.Helper()
	size, changed := int64(len(start)), false
	r := &recorder{memory: bytes.Clone(start)}
	if err := after.Replace(r, size); err != nil {
		t.Fatal(err)
	}
	if len(r.writes) < 9 || !r.writes[len(r.writes)-1].sync {
		t.Fatalf("%d writes", len(r.writes))
	}
	cuts(start, r.writes, func(name string, m memory) {
		// Without its last sector the backup cannot stand in.
		alone := bytes.Clone(m)
		clear(alone[len(alone)-after.SectorSize:])
		got, err := gpt.Read(memory(alone), size, after.SectorSize)
		if err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
		isNew := got.Partitions[0].Last == after.Partitions[0].Last
		if !isNew && got.Partitions[0].Last != before.Partitions[0].Last || len(got.Partitions) != len(after.Partitions) {
			t.Fatalf("after %s: %+v", name, got.Partitions)
		}
		changed = changed || isNew
		// A second run mends what the first has left.
		again := &recorder{memory: m}
		if err := after.Replace(again, size); err != nil {
			t.Fatalf("again after %s: %v", name, err)
		}
		if !bytes.Equal(again.memory, r.memory) {
			t.Fatalf("again after %s: other bytes", name)
		}
	})
	if !changed {
		t.Error("the new table was never seen")
	}
	if !strings.HasPrefix(string(r.memory), "boot code") {
		t.Error("boot code is gone")
	}
	got, err := gpt.Read(r.memory, size, after.SectorSize)
	if err != nil || got.Damage != nil {
		t.Errorf("%v, damage %v", err, got.Damage)
	}
	if after.SectorSize == 512 {
		if out := run(t, r.memory, "", "sgdisk", "-v"); !strings.Contains(out, "No problems found") || strings.Contains(out, "main partition table") {
			t.Errorf("sgdisk: %s", out)
		}
	}
}

// TestReplaceInterruptedTwice cuts the second run, which finds the entries of the
// primary where it is about to write the backup.
func TestReplaceInterruptedTwice(t *testing.T) {
	before := cloud(t, 512)
	start := written(t, before, size)
	middle, err := gpt.Read(start, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	middle.Partitions[0].Last--
	r := &recorder{memory: bytes.Clone(start)}
	if err := middle.Replace(r, size); err != nil {
		t.Fatal(err)
	}
	last, err := gpt.Read(r.memory, size, 512)
	if err != nil {
		t.Fatal(err)
	}
	last.Partitions[0].Last--
	var states []memory
	cuts(start, r.writes, func(_ string, m memory) { states = append(states, m) })
	for _, state := range states {
		again := &recorder{memory: bytes.Clone(state)}
		if err := last.Replace(again, size); err != nil {
			t.Fatal(err)
		}
		cuts(state, again.writes, func(name string, m memory) {
			clear(m[size-512:])
			if _, err := gpt.Read(m, size, 512); err != nil {
				t.Fatalf("after %s: %v", name, err)
			}
		})
	}
}

// fragile is a disk of which one read, or write, fails: the one after so many.
type fragile struct {
	memory
	reads, writes int
	failed        bool
}

func (f *fragile) ReadAt(p []byte, off int64) (int, error) {
	if f.reads--; f.reads == -1 {
		f.failed = true
		return 0, io.ErrNoProgress
	}
	return f.memory.ReadAt(p, off)
}

func (f *fragile) WriteAt(p []byte, off int64) (int, error) {
	if f.writes--; f.writes == -1 {
		f.failed = true
		return 0, io.ErrShortWrite
	}
	return f.memory.WriteAt(p, off)
}

func (*fragile) Sync() error { return nil }

// atBackup is a disk that has grown, whose primary header points to the backup's
// entries as an interrupted Replace leaves it.
func atBackup(t *testing.T) memory {
	t.Helper()
	m := written(t, cloud(t, 512), size)
	put64(headerAt+72, arrayAt/512)(m)
	put64(headerAt+32, backupAt/512)(m)
	reseal(m, 512)
	return append(m, make(memory, 4<<20)...)
}

// TestReplaceTellsEachFailure fails every read and every write of it in turn.
func TestReplaceTellsEachFailure(t *testing.T) {
	start := atBackup(t)
	for want, disk := range map[error]func(n int) *fragile{
		io.ErrNoProgress: func(n int) *fragile { return &fragile{reads: n, writes: 1000} },
		io.ErrShortWrite: func(n int) *fragile { return &fragile{reads: 1000, writes: n} },
	} {
		for n, failed := 0, true; failed; n++ {
			f := disk(n)
			f.memory = bytes.Clone(start)
			err := cloud(t, 512).Replace(f, int64(len(start)))
			if failed = f.failed; errors.Is(err, want) != failed {
				t.Fatalf("%d before %v: %v", n, want, err)
			}
			clear(f.memory[len(f.memory)-512:]) // the backup cannot stand in
			if _, err := gpt.Read(f.memory, int64(len(start)), 512); err != nil {
				t.Fatalf("after %d and %v: %v", n, want, err)
			}
		}
	}
}

func TestReplaceRefused(t *testing.T) {
	table := cloud(t, 512)
	m := written(t, table, size)
	clear(m[512:1024])
	r := &recorder{memory: m}
	if err := table.Replace(r, size); !errors.Is(err, gpt.ErrTable) {
		t.Errorf("primary damaged: %v", err)
	}
	if err := table.Replace(r, 1<<20); !errors.Is(err, gpt.ErrTable) {
		t.Errorf("too small: %v", err)
	}
	m = atBackup(t)
	r.memory = m
	put64(headerAt+40, 3)(m) // room for one sector of entries in front of the partitions
	reseal(m, 512)
	if err := table.Replace(r, int64(len(m))); !errors.Is(err, gpt.ErrTable) || !strings.Contains(err.Error(), "16384 bytes of entries do not fit before sector 3") {
		t.Errorf("entries over a partition: %v", err)
	}
	if len(r.writes) != 0 {
		t.Error("written all the same")
	}
}
