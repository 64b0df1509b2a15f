//go:build !amd64 || purego

package xts

func newCore(key []byte) (core, error) { return newPortable(key) }
