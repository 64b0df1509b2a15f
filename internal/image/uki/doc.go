// Package uki reads unified kernel images: an EFI program with a kernel, its initrd,
// its command line and what it is, each in a section of its own, as the UAPI group's
// "Unified Kernel Image" and systemd-stub(7) describe them. The addons that lie
// beside an image, or beside all of them, add to what it boots.
//
// The sections are found by the tables of Microsoft's "PE Format" alone. All of a
// file is hostile: sections that overlap, leave the file, come twice or are longer
// than what the file holds of them are refused. Nothing is run, and signatures are
// not looked at: what is measured is what was taken out.
package uki

import "errors"

var (
	// ErrNot is a file that is no unified kernel image for x86-64.
	ErrNot = errors.New("not a unified kernel image for x86-64")
	// ErrMalformed is one whose sections cannot be read.
	ErrMalformed = errors.New("malformed unified kernel image")
)

// The sections that count.
const (
	Linux     = ".linux"
	Initrd    = ".initrd"
	Microcode = ".ucode"
	Cmdline   = ".cmdline"
	Release   = ".osrel"
	Uname     = ".uname"
	profile   = ".profile"
)

// Limits on what is read, in bytes and numbers.
const (
	maxSections = 96 // what the format allows
	maxText     = 64 << 10
	maxAddons   = 64 // of a directory
)
