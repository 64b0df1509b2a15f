package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errRunning is a data directory in which another service runs.
var errRunning = errors.New("another service uses this data directory: stop it, or give this one another directory")

// lockData keeps other services out of a data directory until the returned file is
// closed. Its name stays: removing it would let two processes hold locks on different
// files.
func lockData(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errRunning
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--data %s: %w", dir, err), f.Close())
	}
	return f, nil
}
