package dmcrypt

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File is the real /dev/mapper/control.
type File struct{ f *os.File }

// Open opens the control device, which the kernel makes with its module dm-mod.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open device-mapper: %w", err)
	}
	return &File{f}, nil
}

// Close closes it.
func (c *File) Close() error { return c.f.Close() }

// Call is ioctl(2).
func (c *File) Call(command uint, arguments []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, c.f.Fd(), uintptr(command), uintptr(unsafe.Pointer(&arguments[0])))
	runtime.KeepAlive(arguments)
	if errno != 0 {
		return errno
	}
	return nil
}
