// Package qemu reads disk images, with QEMU's own tools but for the two formats that
// nearly all images are in. OpenWritable and Resize change one in place, raw or qcow2,
// by QEMU alone.
//
// An image is hostile. Probe finds out its format and refuses what reaches
// outside of it before any tool sees the file. Open reads a raw image, and a qcow2 that
// stands alone, in this process: a conversion waits for nothing as much as for its
// source, and qemu-nbd has to send all of it through a socket. It takes the locks that
// QEMU takes. Every other format is read by the code that defines it: Open starts
// qemu-nbd, read-only, with every file and format named by Probe, so that nothing in the
// image names a file, and talks to it over a socket in a private directory.
// ReadRanges keeps several reads under way, which decompresses on more than one core
// either way.
//
// Files are for a guest's disk, which is raw, qcow2, or a qcow2 overlay whose backing
// file the operator names.
//
// The formats are described in QEMU's docs/interop/qcow2.txt, VMware's "Virtual
// Disk Format 5.0", Microsoft's VHD specification and [MS-VHDX], and the
// header of VirtualBox's VDI. Files must not change between Probe and Close.
package qemu

import (
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
)

// ErrImage is a source that is damaged, or that asks for something outside of
// itself, or has a form that is not taken. The text says which.
var ErrImage = qcow2.ErrImage

// ErrNoProgram is a program of QEMU that is not installed. The text names the
// package that has it.
var ErrNoProgram = errors.New("program not found")
