package qcow2

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	fast "github.com/klauspost/compress/flate"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// BenchmarkRatioInflate holds the decoder against the fastest for streams, which is
// what it has to be worth.
func BenchmarkRatioInflate(b *testing.B) {
	const rounds = 200
	contents := contents()[1:3]
	var packed [][]byte
	for _, content := range contents {
		packed = append(packed, deflated(b, content, flate.DefaultCompression))
	}
	out := make([]byte, 64<<10)
	stream := fast.NewReader(bytes.NewReader(nil))
	reference := func() {
		for range rounds {
			for i, src := range packed {
				if err := stream.(fast.Resetter).Reset(bytes.NewReader(src), nil); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(stream, out[:min(len(out), len(contents[i]))]); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	var own inflater
	subject := func() {
		for range rounds {
			for i, src := range packed {
				if err := own.inflate(out[:min(len(out), len(contents[i]))], src); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	ratio.Compare(b, "x-stream", 0.8, reference, subject)
}
