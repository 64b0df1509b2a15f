// Package initrd appends the agent's segment to a distribution's initrd and
// tells what an initrd is.
//
// An initrd is a row of cpio archives, each plain or compressed, with zeros
// between them (the kernel's Documentation/driver-api/early-userspace/
// buffer-format.rst). Append leaves the original as it is, byte for byte, and
// adds one more archive; later ones win where both have a file. The same inputs
// give the same bytes. docs/initrd.md has the layout.
package initrd

import "errors"

// ErrMalformed is an initrd, or the input of a segment, that cannot be used.
var ErrMalformed = errors.New("malformed initrd")
