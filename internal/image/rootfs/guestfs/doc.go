// Package guestfs reads and changes file systems that the project has no code
// of its own for, xfs and btrfs, through libguestfs: the image is mounted by the
// kernel of a small virtual machine that guestfish starts and is told what to do
// with, one guestfish --remote a request. Names are arguments of programs and
// need no quoting.
//
// It is slow (seconds to start, tens of milliseconds a request) and meant for
// the few files that a conversion looks at. Which blocks are used is not known.
package guestfs
