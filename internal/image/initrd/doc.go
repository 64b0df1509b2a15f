// Package initrd makes the initrd that a converted image boots and tells what an
// image's own is.
//
// An initrd is a row of cpio archives, each plain or compressed, with zeros
// between them (the kernel's Documentation/driver-api/early-userspace/
// buffer-format.rst). Write makes one that holds the agent's archive alone. Append
// leaves a distribution's as it is, byte for byte, and adds that archive; later ones
// win where both have a file. The same inputs give the same bytes. docs/initrd.md
// has the layout.
package initrd

import "errors"

// ErrMalformed is an initrd, or the input of a segment, that cannot be used.
var ErrMalformed = errors.New("malformed initrd")
