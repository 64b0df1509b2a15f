// Package kmod finds the kernel modules that the agent needs in an image, with
// everything they depend on, in an order in which they can be loaded.
//
// A Tree is lib/modules/RELEASE of an image, as depmod(8) left it, with the
// files of packages laid over it that are not installed, or of such packages alone. What a
// module depends on is what its own .modinfo section says; modules.dep adds to
// that, modules.builtin says what needs no file, modules.alias and soft
// dependencies are honoured where a module names them. Nothing of the image is
// run, and all of it is hostile: sizes and counts are bounded, cycles found.
package kmod

import "errors"

// Errors that callers branch on.
var (
	// ErrNoTree: the image has no modules for this release.
	ErrNoTree = errors.New("no kernel modules")
	// ErrNoIndex: the image has modules, and no modules.dep that says where.
	ErrNoIndex = errors.New("modules.dep is missing")
	// ErrMalformed: a file of the tree cannot be read.
	ErrMalformed = errors.New("malformed kernel modules")
	// ErrCycle: modules depend on each other in a circle.
	ErrCycle = errors.New("kernel modules depend on each other in a circle")
)

// Limits on what is read, in bytes and files.
const (
	maxIndex   = 16 << 20 // of modules.dep and its like
	maxModule  = 64 << 20 // of a module, decompressed
	maxTotal   = 192 << 20
	maxModules = 512 // of a closure; some 25 are usual
)
