package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
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
	layout *ext4.Layout
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
	size, own := e.size, (*gpt.Partition)(nil)
	if f != nil {
		own = f.part
		p.old = area{table.Offset(own), table.Size(own), d.Size()}
		if size == 0 {
			size = p.old.size
		}
	} else if size == 0 {
		size = defaultSize
	}
	size = alignUp(size)
	if p.same, err = e.arrange(d, f, size); err != nil {
		return nil, err
	}
	if p.same {
		p.area, p.number = p.old, own.Number
		return p, nil
	}
	if p.layout, err = e.lay(size); err != nil {
		return nil, err
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

// arrange decides which slot is for what is embedded and what stays, and reports
// whether a partition of that size holds everything already.
func (e *embedding) arrange(d device, f *found, size int64) (same bool, err error) {
	if f == nil || f.err != nil {
		if e.Update {
			return false, fmt.Errorf("update: %w", orNone(f))
		}
		return false, nil
	}
	present, err := read(d)
	if e.Update {
		if err != nil {
			return false, err
		}
		return e.keep(present, size)
	}
	switch {
	case err != nil:
		return false, unlessDamaged(err) // whatever is there is wiped
	case present.Size != size || present.active != 0 || !present.Slots[1].Empty():
		return false, nil
	}
	return e.incoming.isIn(present.Slots[0])
}

func orNone(f *found) error {
	if f == nil {
		return ErrNone
	}
	return damaged(f.err)
}

// keep keeps the active slot, or the other one if the active one holds already what
// is embedded.
func (e *embedding) keep(present *Artifacts, size int64) (same bool, err error) {
	active, err := present.Active()
	if err != nil {
		return false, err
	}
	other := present.Slots[1-present.active]
	held, err := e.incoming.isIn(active)
	if err != nil {
		return false, err
	}
	if held {
		active, other = other, active
	}
	e.slot = other.Name
	if !active.Empty() {
		e.kept = active
	}
	return held && present.Size == size, nil
}
