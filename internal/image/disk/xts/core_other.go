//go:build !amd64 || purego

package xts

func newCore(key []byte, sectorSize int) (core, error) { return newPortable(key, sectorSize) }
