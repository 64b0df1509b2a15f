//go:build !linux

package qemu

import "os"

// lockToRead does nothing: QEMU locks images on Linux alone.
func lockToRead(*os.File) error { return nil }
