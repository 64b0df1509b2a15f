package decompress_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// TestXZOfSeveralParts reads what xz(1) writes: several blocks, streams and kinds of
// checks, and data that does not shrink.
func TestXZOfSeveralParts(t *testing.T) {
	noise := make([]byte, 300_000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	content := append([]byte(text()), noise...)
	var whole, want bytes.Buffer
	for _, args := range []string{"-0 --check=none", "-9 --check=sha256", "-1 --block-size=4096", "-6 --check=crc32 -T2 --block-size=65536", "-0"} {
		cmd := exec.CommandContext(t.Context(), "xz", append(strings.Fields(args), "-c")...)
		cmd.Stdin = bytes.NewReader(content)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatalf("xz (Debian package xz-utils): %v", err)
		}
		whole.Write(packed)
		whole.Write(make([]byte, 8)) // padding of a stream
		want.Write(content)
	}
	got, err := decompress.All(bytes.NewReader(whole.Bytes()), 1<<30)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes of %d, %v", len(got), want.Len(), err)
	}
}

// TestXZDictionary refuses a stream whose second block wants 4 GiB of memory.
func TestXZDictionary(t *testing.T) {
	var b bytes.Buffer
	config := xz.WriterConfig{BlockSize: 1000}
	w, err := config.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	packed := b.Bytes()
	// The first block's header; the second has the same and another dictionary.
	size := (int(packed[12]) + 1) * 4
	header := bytes.Clone(packed[12 : 12+size])
	property := bytes.Index(header, []byte{0x21, 1}) + 2
	second := 12 + size + bytes.Index(packed[12+size:], header[:property])
	if property < 2 || second < 12+size {
		t.Fatal("no second block")
	}
	for dictionary, refused := range map[byte]bool{header[property]: false, 30: false, 31: true, 40: true} { // 30 stands for 128 MiB
		spoiled := bytes.Clone(packed)
		block := spoiled[second : second+size]
		block[property] = dictionary
		binary.LittleEndian.PutUint32(block[size-4:], crc32.ChecksumIEEE(block[:size-4]))
		_, err := decompress.All(bytes.NewReader(spoiled), 1<<20)
		if refused != errors.Is(err, decompress.ErrMalformed) || !refused && err != nil || refused && !strings.Contains(err.Error(), "a dictionary of more than") {
			t.Errorf("dictionary %d: %v", dictionary, err)
		}
	}
}
