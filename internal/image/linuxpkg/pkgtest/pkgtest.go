// Package pkgtest makes packages of kernels for tests, and what is in them, without any
// program.
package pkgtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
)

// File is a file of an archive. A name that ends in a slash is a directory's; one with a
// target is a symbolic link.
type File struct{ Name, Content, Target string }

// Pack compresses by a file's suffix: ".xz", ".zst", ".gz" or "".
func Pack(tb testing.TB, suffix string, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".gz":
		w = gzip.NewWriter(&b)
	default:
		return content
	}
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Tar is a tar archive.
func Tar(tb testing.TB, files ...File) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: int64(len(f.Content)), Mode: 0o644}
		switch {
		case strings.HasSuffix(f.Name, "/"):
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		case f.Target != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.Target
		}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(f.Content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Ar is an archive of the members of a .deb.
func Ar(members ...File) []byte {
	b := []byte("!<arch>\n")
	for _, m := range members {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", m.Name, 0, 0, 0, "100644", len(m.Content), m.Content)
		if len(m.Content)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

// Control is control.tar of a .deb.
func Control(tb testing.TB, name, version string) []byte {
	tb.Helper()
	text := "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\nDescription: a kernel\n Package: of this\n"
	return Tar(tb, File{Name: "./"}, File{Name: "./control", Content: text})
}

// Deb is a .deb whose data.tar is compressed by suffix.
func Deb(tb testing.TB, name, version, suffix string, files ...File) []byte {
	tb.Helper()
	return Ar(File{Name: "debian-binary", Content: "2.0\n"},
		File{Name: "control.tar.gz", Content: string(Pack(tb, ".gz", Control(tb, name, version)))},
		File{Name: "data.tar" + suffix, Content: string(Pack(tb, suffix, Tar(tb, files...)))})
}

// RPM is an .rpm of version 6.12.0-1 whose payload is compressed by suffix.
func RPM(tb testing.TB, name, suffix string, files ...File) []byte {
	tb.Helper()
	var payload bytes.Buffer
	w := cpio.NewWriter(&payload)
	for _, f := range files {
		h, content := cpio.Header{Name: strings.TrimSuffix(f.Name, "/"), Mode: cpio.ModeRegular | 0o644}, f.Content
		switch {
		case strings.HasSuffix(f.Name, "/"):
			h.Mode = cpio.ModeDir | 0o755
		case f.Target != "":
			h.Mode, content = cpio.ModeSymlink|0o777, f.Target
		}
		if err := w.Add(h, []byte(content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	signature := rpmHeader(nil, nil)
	return slices.Concat([]byte("\xed\xab\xee\xdb"), make([]byte, 92), signature, make([]byte, -len(signature)&7),
		rpmHeader([]uint32{1000, 1001, 1002, 1022}, []string{name, "6.12.0", "1", "x86_64"}), Pack(tb, suffix, payload.Bytes()))
}

func rpmHeader(tags []uint32, values []string) []byte {
	var index, store []byte
	for i, tag := range tags {
		for _, word := range []uint32{tag, 6, uint32(len(store)), 1} {
			index = binary.BigEndian.AppendUint32(index, word)
		}
		store = append(append(store, values[i]...), 0)
	}
	b := []byte("\x8e\xad\xe8\x01\x00\x00\x00\x00")
	b = binary.BigEndian.AppendUint32(b, uint32(len(tags)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(store)))
	return slices.Concat(b, index, store)
}
