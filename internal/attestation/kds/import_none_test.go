package kds_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

func TestArchivesThatAreNone(t *testing.T) {
	good := export(t, filled(t).client())
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	tw := tar.NewWriter(zw)
	// 8 GiB of zeros behind an innocent name.
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Mode: 0o644, Size: 8 << 30}); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := tw.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for name, archive := range map[string][]byte{
		"nothing":          nil,
		"no gzip":          []byte("PK\x03\x04"),
		"cut off":          good[:len(good)/2],
		"without checksum": good[:len(good)-8],
		"wrong checksum":   flipped,
		"bytes behind":     append(bytes.Clone(good), 0),
		"second archive":   append(bytes.Clone(good), good...),
		"bomb":             bomb.Bytes(),
		"data in padding":  withPadding(t, good, "hidden"),
		"endless padding":  withPadding(t, good, strings.Repeat("\x00", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) { refuseImport(t, archive, kds.ErrArchive) })
	}
}

// Endless headers that are none of any file.
func TestArchiveOfHeaders(t *testing.T) {
	members := unpack(t, export(t, filled(t).client()))
	raw := func(m member) []byte {
		var out bytes.Buffer
		if err := tar.NewWriter(&out).WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	empty := member{header: tar.Header{Typeflag: tar.TypeReg, Name: "x", Mode: 0o644}}
	long := empty
	long.header.PAXRecords = map[string]string{"comment": strings.Repeat("x", 900<<10)}
	// Without the header of the file itself, which is the last block.
	record := raw(long)[:len(raw(long))-len(raw(empty))]
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	manifest := members[0]
	for _, data := range [][]byte{
		raw(manifest), manifest.data, make([]byte, 511-(len(manifest.data)+511)%512), bytes.Repeat(record, 4), raw(members[1]), members[1].data,
	} {
		if _, err := zw.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := newWorld(t).client().Import(t.Context(), &out)
	if !errors.Is(err, kds.ErrArchive) || !strings.Contains(err.Error(), "more than the manifest says") {
		t.Errorf("got %v", err)
	}
}

// Archives whose manifest promises too much, or whose files are more than it says.
func TestArchiveTooLarge(t *testing.T) {
	for want, tc := range map[string]struct{ entries, size int }{
		"100001 entries, want at most 100000": {100_001, 1},
		"more than 512 MiB":                   {513, 1 << 20},
	} {
		members := edit(t, unpack(t, export(t, newWorld(t).client())), func([]map[string]any) []map[string]any {
			var e []map[string]any
			for i := range tc.entries {
				e = append(e, map[string]any{
					"name": fmt.Sprintf("vcek-Turin-%016x-0000000000000000.der", i+1), "size": tc.size, "sha256": strings.Repeat("ab", 32),
				})
			}
			return e
		})
		_, err := newWorld(t).client().Import(t.Context(), bytes.NewReader(pack(t, members)))
		if !errors.Is(err, kds.ErrArchive) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	members := unpack(t, export(t, filled(t).client()))
	members[mVCEK].data = make([]byte, 1<<20)
	_, err := newWorld(t).client().Import(t.Context(), bytes.NewReader(pack(t, members)))
	if !errors.Is(err, kds.ErrArchive) || !strings.Contains(err.Error(), "1048576 bytes, want at most") {
		t.Errorf("got %v", err)
	}
}

// withPadding has bytes after the end of the tar, within the gzip.
func withPadding(t *testing.T, archive []byte, padding string) []byte {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	if _, err := io.Copy(zw, zr); err != nil {
		t.Fatal(err)
	}
	if _, err := zw.Write([]byte(padding)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
