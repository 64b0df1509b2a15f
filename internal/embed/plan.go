package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/qemu"
)

// maxSize bounds a partition, in bytes.
const maxSize = 64 << 30

// plan says what is going to be written where.
type plan struct {
	area
	table  *gpt.Table // as it is going to be
	number int        // of the partition
	old    area       // of the present partition; empty if there is none
	fresh  bool       // the area is behind the disk's present end
	same   bool       // nothing has to be written
}

func (p *plan) result(slot string, changed bool) *Result {
	return &Result{Partition: p.number, Offset: p.offset, Size: p.size, Disk: p.disk, Slot: slot, Changed: changed}
}

// plan looks at the disk and completes the tree.
func (e *embedding) plan(ctx context.Context, source *qemu.Source) (*plan, error) {
	disk, err := qemu.Open(ctx, source)
	if err != nil {
		return nil, err
	}
	p, err := e.planDisk(disk)
	return p, errors.Join(err, disk.Close())
}

func (e *embedding) planDisk(d device) (*plan, error) {
	table, err := readTable(d)
	if err != nil {
		return nil, err
	}
	f, err := find(d, table)
	if err != nil {
		return nil, err
	}
	p := &plan{table: table}
	size, own := e.Size, (*gpt.Partition)(nil)
	if f != nil {
		own = f.part
		p.old = area{table.Offset(own), table.Size(own), d.Size()}
		if size == 0 {
			size = alignUp(p.old.size)
		}
	} else if size == 0 {
		size = DefaultSize
	}
	if p.same, err = e.complete(d, f); err != nil {
		return nil, err
	}
	if size, err = e.fits(size); err != nil {
		return nil, err
	}
	if p.same = p.same && size == p.old.size; p.same {
		p.area, p.number = p.old, own.Number
		return p, nil
	}
	p.area = place(table, own, d.Size(), size)
	p.fresh = p.offset >= d.Size()
	guid, err := gpt.NewGUID(rand.Reader)
	if err != nil {
		return nil, err
	}
	p.number, err = point(table, own, p.area, guid)
	return p, err
}

// complete adds what is to be kept, and reports whether the partition holds
// everything already.
func (e *embedding) complete(d device, f *found) (same bool, err error) {
	if f == nil || f.err != nil {
		if e.Update {
			return false, fmt.Errorf("update: %w", orNone(f))
		}
		return false, nil
	}
	present, err := read(d)
	if err == nil && e.Update {
		return e.keep(present)
	}
	if err != nil {
		if e.Update {
			return false, err
		}
		return false, nil // whatever is there is wiped
	}
	if present.active != 0 || !present.Slots[1].Empty() {
		return false, nil
	}
	return sameTree(present.Slots[0], filepath.Join(e.tree, SlotA))
}

func orNone(f *found) error {
	if f == nil {
		return ErrNone
	}
	return damaged(f.err)
}

// keep puts the active slot into the tree and what is embedded into the other
// slot.
func (e *embedding) keep(present *Artifacts) (same bool, err error) {
	active, err := present.Active()
	if err != nil {
		return false, err
	}
	a, b := filepath.Join(e.tree, SlotA), filepath.Join(e.tree, SlotB)
	if same, err := sameTree(active, a); err != nil || same {
		e.slot = active.Name
		return same, err
	}
	if err := active.extract(b); err != nil || active.Name == SlotB {
		return false, err
	}
	e.slot = SlotB
	return false, swap(a, b)
}

// swap exchanges two directories.
func swap(a, b string) error {
	return errors.Join(os.Rename(a, a+".old"), os.Rename(b, a), os.Rename(a+".old", b))
}
