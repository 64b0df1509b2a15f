package qemu

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// QEMU's locks on images, block/file-posix.c: who does something with one holds a byte
// from lockDoes on, who does not let others do it one from lockForbids on. All locks
// are shared, and of the open file description; a conflict is somebody else's lock on
// the other byte.
const (
	lockDoes    = 100
	lockForbids = 200

	lockRead   = 0 // of consistent data
	lockWrite  = 1
	lockResize = 3
)

// lockToRead takes the locks with which QEMU reads a qcow2: nobody else may write to
// it or resize it. They end with the file. A file system without such locks has
// none for QEMU either. The error wraps ErrImage for an image that is in use.
func lockToRead(f *os.File) error {
	if _, err := lockedByOthers(f, lockDoes); noLocks(err) {
		return nil
	}
	for _, at := range []int64{lockDoes + lockRead, lockForbids + lockWrite, lockForbids + lockResize} {
		l := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: at, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
			return fmt.Errorf("lock image: %w", err)
		}
	}
	for _, at := range []int64{lockForbids + lockRead, lockDoes + lockWrite, lockDoes + lockResize} {
		held, err := lockedByOthers(f, at)
		if err != nil {
			return err
		}
		if held {
			return fmt.Errorf("%w: another process writes to it; shut down the guest that it belongs to", ErrImage)
		}
	}
	return nil
}

// noLocks tells that a file system or a kernel has no locks.
func noLocks(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS)
}

// lockedByOthers tells whether anybody else has a lock on a byte.
func lockedByOthers(f *os.File, at int64) (bool, error) {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return false, fmt.Errorf("look for locks of the image: %w", err)
	}
	return l.Type != unix.F_UNLCK, nil
}
