package qcow2

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"
)

// FuzzInflate holds the decoder against that of the standard library.
func FuzzInflate(f *testing.F) {
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
		for _, content := range contents() {
			f.Add(deflated(f, content, level))
		}
	}
	var own inflater
	f.Fuzz(func(t *testing.T, src []byte) {
		const most = 4096
		want := make([]byte, most)
		n, err := io.ReadFull(flate.NewReader(bytes.NewReader(src)), want)
		for _, size := range []int{most, n, max(0, n-1), n / 2} {
			got := make([]byte, size)
			if mine := own.inflate(got, src); (mine == nil) != (size <= n) || (mine == nil && !bytes.Equal(got, want[:size])) {
				t.Fatalf("%d of %d bytes, %v: %v", size, n, err, mine)
			}
		}
	})
}

func deflated(tb testing.TB, content []byte, level int) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}
