package convert

import (
	"os"

	"golang.org/x/sys/unix"
)

// Advice to the kernel: those that cannot follow it do not matter.

// startWriteback has the kernel begin to write what a file has in memory. Nothing is
// durable by that: it is work that the last sync does not have to do, when there is
// nothing else left to be done.
func startWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

// readNoFurther has the kernel read what of a file is asked for, and nothing behind it:
// of one that is mostly holes it would fill memory with zeros.
func readNoFurther(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
}
