package kmod

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// A .deb is an ar archive (deb(5)): headers of 60 bytes, contents padded to 2.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arNameSize   = 16
	arSizeOffset = 48
	arSizeEnd    = 58
	arEnd        = "`\n"
	maxMembers   = 16
)

// readDeb gives the files of data.tar to s.
func readDeb(r io.Reader, s *sink) error {
	if _, err := io.CopyN(io.Discard, r, int64(len(arMagic))); err != nil {
		return err
	}
	for range maxMembers {
		name, size, err := arMember(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "data.tar") {
			return readData(&io.LimitedReader{R: r, N: size}, s)
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(r, size+size%2)); err != nil || n != size+size%2 {
			return fmt.Errorf("%w: %s is cut off", ErrPackage, name)
		}
	}
	return fmt.Errorf("%w: it has no data.tar", ErrPackage)
}

// readData reads data.tar, all of it: a plain one that is cut off between two
// files is an archive that ends there, to the reader of archives.
func readData(content *io.LimitedReader, s *sink) error {
	if err := readTar(content, s); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, content); err != nil || content.N > 0 {
		return fmt.Errorf("%w: data.tar is cut off", ErrPackage)
	}
	return nil
}

// arMember reads a member's header; io.EOF is the archive's end.
func arMember(r io.Reader) (name string, size int64, err error) {
	header := make([]byte, arHeaderSize)
	if _, err := io.ReadFull(r, header); errors.Is(err, io.EOF) {
		return "", 0, io.EOF
	} else if err != nil {
		return "", 0, fmt.Errorf("%w: ar header: %w", ErrPackage, err)
	}
	name = strings.TrimSuffix(strings.TrimRight(string(header[:arNameSize]), " "), "/")
	size, err = strconv.ParseInt(strings.TrimRight(string(header[arSizeOffset:arSizeEnd]), " "), 10, 64)
	if err != nil || size < 0 || string(header[arSizeEnd:]) != arEnd {
		return "", 0, fmt.Errorf("%w: ar header %q", ErrPackage, header)
	}
	return name, size, nil
}

func readTar(r io.Reader, s *sink) error {
	content, _, err := decompress.NewReader(bufio.NewReader(r))
	if err != nil {
		return fmt.Errorf("%w: data.tar: %w", ErrPackage, err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: data.tar: %w", ErrPackage, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := s.put(h.Name, archive); err != nil {
			return err
		}
	}
}
