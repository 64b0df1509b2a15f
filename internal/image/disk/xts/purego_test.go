//go:build purego || !amd64

package xts

const pureGo = true
