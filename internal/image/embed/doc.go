// Package embed keeps what is needed to launch a disk on the disk itself: a launch
// bundle in one of the two slots of its LAUNCH_ARTIFACTS partition, which conversion
// has made. internal/image/slots has the layout, docs/embed.md the order of writes.
//
// Embed fills a slot, Activate switches, Open reads, Choose says which slot a launch
// takes. All change an image in place such that a cut at any moment leaves the disk
// with the slot that was active or the one that should be.
//
// The partition belongs to the host. Whatever Open reads is hostile, and a bundle
// counts only with its signed manifest.
package embed

import (
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// Errors that callers tell apart.
var (
	// ErrNone: the disk has no LAUNCH_ARTIFACTS.
	ErrNone = errors.New("the disk has no " + slots.Label + " partition; convert the source again, without --artifacts-size 0")
	// ErrArtifacts: what is in the partition is damaged or hostile.
	ErrArtifacts = errors.New("unusable " + slots.Label + " partition")
	// ErrEmpty: a slot holds nothing. It comes with ErrArtifacts.
	ErrEmpty = errors.New("is empty")
	// ErrDisk: the disk cannot have such a partition.
	ErrDisk = errors.New("cannot embed into this disk")
	// ErrTrial: a slot is on trial, and the other one is what to return to.
	ErrTrial = errors.New("the active slot is on trial")
)
