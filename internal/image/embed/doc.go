// Package embed keeps what is needed to launch a disk on the disk itself: a
// partition with an ext4 file system labelled LAUNCH_ARTIFACTS that has the
// slots /A and /B, each for one launch bundle, and the link /artifacts to the
// active one. docs/embed.md has the layout and the order of writes.
//
// Embed makes or renews the partition, Activate switches the link, Open reads.
// All change an image in place such that a cut at any moment leaves the disk as it
// was or as it should be: a file system is written where nothing points to yet,
// and one write of one sector points there.
//
// The partition belongs to the host. Whatever Open reads is hostile: names, links,
// kinds and sizes are checked before anything is copied, and a bundle counts only
// with its signed manifest.
package embed

import "errors"

// label is the label of the file system and the name of the partition.
const label = "LAUNCH_ARTIFACTS"

// The names in the file system.
const (
	SlotA = "A"
	SlotB = "B"
	link  = "artifacts" // to the active slot
)

// defaultSize is the size of a partition, in bytes, when nobody asks for another.
const defaultSize = 512 << 20

// Errors that callers tell apart.
var (
	// ErrNone: the disk has no LAUNCH_ARTIFACTS.
	ErrNone = errors.New("the disk has no " + label + " partition")
	// ErrArtifacts: what is in the partition is damaged or hostile.
	ErrArtifacts = errors.New("unusable " + label + " partition")
	// errTooLarge: the file system has no room for the bundle.
	errTooLarge = errors.New("too large for the partition")
	// ErrDisk: the disk cannot have such a partition.
	ErrDisk = errors.New("cannot embed into this disk")
)
