package keyring

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports whether the KEK's file is for this process alone.
func private(info fs.FileInfo) bool {
	owner := os.Geteuid()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(stat.Uid)
	}
	return forOne(info.Mode().Perm(), owner, os.Geteuid())
}

// forOne takes what its owner alone may use, and what is root's and given to this
// process to read. Systemd gives credentials so, by an access control list whose
// mask shows as the group's bits.
func forOne(mode fs.FileMode, owner, user int) bool {
	if owner == 0 && user != 0 {
		return mode&0o037 == 0
	}
	return mode&0o077 == 0
}
