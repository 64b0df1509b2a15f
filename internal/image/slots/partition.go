package slots

import (
	"bytes"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// offUUID is where the file system's UUID is, in bytes (s_uuid; the superblock begins at
// 1024).
const offUUID = 1024 + 0x68

// Partition is a partition that was laid out by Make. It is for one user at a time.
type Partition struct {
	d     Device
	uuid  [16]byte
	size  int64
	empty *ext4.Layout // with both slots empty; all places but those of files are of it
	state State
}

// Open reads a partition of size bytes. The error wraps ErrLayout, or is the device's.
func Open(d Device, size int64) (*Partition, error) {
	p := &Partition{d: d, size: size, state: State{Active: A}}
	if size >= offUUID+16 {
		if err := p.readAt(p.uuid[:], offUUID); err != nil {
			return nil, err
		}
	}
	var err error
	if p.empty, err = p.plan("", nil).layOut(); err != nil {
		return nil, err
	}
	head, err := p.head()
	if err != nil {
		return nil, err
	}
	// All but the slots and the links is as it was made.
	want := bytes.Clone(p.empty.Head)
	for _, s := range append(append(own(p.empty, A), own(p.empty, B)...), links(p.empty)) {
		copy(s.of(want), s.of(head))
	}
	if !bytes.Equal(head, want) {
		return nil, fmt.Errorf("%w: it differs from what a conversion makes", ErrLayout)
	}
	return p, p.readState(head)
}

// State returns which slot is active, as of Open or the last change through p.
func (p *Partition) State() State { return p.state }

// plan has the names of one slot.
func (p *Partition) plan(slot string, files map[string]int64) *plan {
	known := &plan{uuid: p.uuid, size: p.size, state: p.state, files: map[string]map[string]int64{slot: files}}
	if p.empty != nil {
		known.front = int64(len(p.empty.Head))
	}
	return known
}

// head reads all that describes the file system.
func (p *Partition) head() ([]byte, error) {
	head := make([]byte, len(p.empty.Head))
	return head, p.readAt(head, 0)
}

func (p *Partition) readAt(b []byte, at int64) error {
	if n, err := p.d.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("read %s: %w", Label, err)
	}
	return nil
}

// reader reads the names and sizes in a head. Where its contents would be read, it ends.
func (p *Partition) reader(head []byte) (*ext4.FS, error) {
	return ext4.Open(struct{ io.ReaderAt }{bytes.NewReader(head)}, p.size)
}

// readState takes the links only if they are what they would be written as.
func (p *Partition) readState(head []byte) error {
	files, err := p.reader(head)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLayout, err)
	}
	active, errActive := files.ReadLink(linkActive)
	trial, errTrial := files.ReadLink(linkTrial)
	p.state = parseState(active, trial)
	sector, err := p.encode(p.state)
	if err != nil {
		return err
	}
	if errActive != nil || errTrial != nil || !bytes.Equal(sector, links(p.empty).of(head)) {
		return fmt.Errorf("%w: the links /%s and /%s are damaged", ErrLayout, linkActive, linkTrial)
	}
	return nil
}

// encode returns the sector of a state.
func (p *Partition) encode(s State) ([]byte, error) {
	plan := p.plan("", nil)
	plan.state = s
	l, err := plan.layOut()
	if err != nil {
		return nil, err
	}
	return links(l).of(l.Head), nil
}

// set writes one sector, after all that came before it, and makes it durable.
func (p *Partition) set(s State) error {
	if s == p.state {
		return nil
	}
	sector, err := p.encode(s)
	if err != nil {
		return err
	}
	if err := p.d.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", Label, err)
	}
	if _, err := p.d.WriteAt(sector, links(p.empty).at); err != nil {
		return fmt.Errorf("switch slots: %w", err)
	}
	p.state = s
	if err := p.d.Sync(); err != nil {
		return fmt.Errorf("switch slots: %w", err)
	}
	return nil
}

// Switch makes a slot that holds a bundle the active one, on trial or not, by one write
// of one sector. Everything before it is durable first, and it is durable when Switch
// returns. The error wraps ErrSlot or is the device's.
func (p *Partition) Switch(slot string, trial bool) error {
	s, err := p.Slot(slot)
	if err != nil {
		return err
	}
	if s.Empty() {
		return fmt.Errorf("%w: slot %s is empty", ErrSlot, slot)
	}
	return p.set(State{Active: slot, Trial: trial})
}

// Launched counts a launch of a slot on trial, by one write of one sector. It does
// nothing outside of a trial.
func (p *Partition) Launched() error {
	s := p.state
	if s.Trial && s.Launches < maxLaunches {
		s.Launches++
	}
	return p.set(s)
}

// Confirm ends the trial of the active slot, by one write of one sector.
func (p *Partition) Confirm() error { return p.set(State{Active: p.state.Active}) }
