// Package slots keeps two launch bundles beside each other in the ext4 of a
// LAUNCH_ARTIFACTS partition, in the directories /A and /B, and says which one is
// launched: the link /artifacts leads to it, and /trial says whether it still has to
// prove itself. docs/embed.md has the layout.
//
// The file system is laid out once, by Make. Each slot has inodes, directory blocks and
// data of its own, at places that follow from the partition's size alone, and spare
// files own what a bundle leaves over, so that nothing else ever changes. Write fills
// one slot; Switch, Launched and Confirm write the one sector with both links.
//
// The partition belongs to the host. Open takes it only if it is, byte for byte, what
// Make lays out, and a slot is read only if its metadata is what Write makes of the
// names and sizes in it: no place is ever taken from the disk.
package slots

import (
	"errors"
	"io"
)

// Label is the label of the file system and the name of the partition.
const Label = "LAUNCH_ARTIFACTS"

// The names of the slots, which are those of their directories.
const (
	A = "A"
	B = "B"
)

// Errors that callers tell apart.
var (
	// ErrLayout is a partition that was not laid out by Make, or not for its size.
	ErrLayout = errors.New("not laid out for two slots")
	// ErrSlot is a slot whose metadata is not what Write makes: it was damaged, or
	// an update was cut.
	ErrSlot = errors.New("damaged slot")
	// ErrTooLarge is a bundle that has no room in a slot.
	ErrTooLarge = errors.New("too large for a slot")
	// ErrInUse is a slot that is not written: the active one, or the one that is
	// returned to if a trial fails.
	ErrInUse = errors.New("the slot is in use")
)

// Device is one partition. What was written is durable after Sync.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// State is what the sector with the links says.
type State struct {
	Active   string // A or B
	Trial    bool   // it is not confirmed; the other slot is what to return to
	Launches int    // of a slot on trial
}

// Other returns the slot that is not active.
func (s State) Other() string { return other(s.Active) }

func other(slot string) string {
	if slot == A {
		return B
	}
	return A
}
