package qcow2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// contents are clusters that compress in different ways.
func contents() [][]byte {
	random := rand.New(rand.NewChaCha8([32]byte{3}))
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	skewed := make([]byte, 64<<10) // long codes
	for i := range skewed {
		skewed[i] = byte(min(random.ExpFloat64()*9, 255))
	}
	var words []byte
	for len(words) < 64<<10 {
		words = fmt.Appendf(words, "%d bottles of beer on the wall, %x. ", random.IntN(1000), random.IntN(1<<20))
	}
	var periods []byte
	for n := 1; n < 12; n++ {
		periods = append(periods, bytes.Repeat(noise[:n], 700/n+n)...)
	}
	return [][]byte{noise, skewed, words, periods, make([]byte, 64<<10), []byte("a"), noise[:100]}
}
