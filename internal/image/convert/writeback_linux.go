package convert

import (
	"os"
	"syscall"
)

// syncFileRangeWrite is SYNC_FILE_RANGE_WRITE of sync_file_range(2).
const syncFileRangeWrite = 2

// startWriteback has the kernel begin to write what a file has in memory. Nothing is
// durable by that: it is work that the last sync does not have to do, when there is
// nothing else left to be done. Kernels and file systems that cannot do not matter.
func startWriteback(f *os.File) {
	_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, syncFileRangeWrite)
}
