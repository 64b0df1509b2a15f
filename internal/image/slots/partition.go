package slots

import (
	"errors"
	"io/fs"
)

// Partition is a partition that was laid out by Make.
type Partition struct {
	d     Device
	state State
}

// Make returns the first bytes of an empty partition of size bytes; the rest reads as
// zeros. A is active.
func Make(uuid [16]byte, size int64) ([]byte, error) { return nil, errors.ErrUnsupported }

// Open reads a partition of size bytes. The error wraps ErrLayout, or is the device's.
func Open(d Device, size int64) (*Partition, error) { return nil, errors.ErrUnsupported }

// State returns which slot is active, as of Open or the last change through p.
func (p *Partition) State() State { return p.state }

// ReadFile returns a file of a slot, of at most limit bytes. The error wraps ErrSlot or
// fs.ErrNotExist, or is the device's.
func (p *Partition) ReadFile(slot, name string, limit int64) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// Write fills a slot that is not in use with the regular files of a tree of one
// directory level, and makes it durable. Which slot is active does not change. A cut
// leaves that slot as it was, empty, damaged or written. The error wraps ErrInUse or
// ErrTooLarge, or is one of reading or writing.
func (p *Partition) Write(slot string, files fs.FS) error { return errors.ErrUnsupported }

// Switch makes a slot the active one, on trial or not, by one write of one sector.
// Everything before it is durable first, and it is durable when Switch returns.
func (p *Partition) Switch(slot string, trial bool) error { return errors.ErrUnsupported }

// Launched counts a launch of a slot on trial, by one write of one sector.
func (p *Partition) Launched() error { return errors.ErrUnsupported }

// Confirm ends the trial of the active slot, by one write of one sector.
func (p *Partition) Confirm() error { return errors.ErrUnsupported }
