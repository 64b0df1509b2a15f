package linuxpkg

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

// A .deb is an ar archive (deb(5)): headers of 60 bytes, contents padded to 2. Its
// members are debian-binary, control.tar and data.tar, in this order.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arNameSize   = 16
	arSizeOffset = 48
	arSizeEnd    = 58
	arEnd        = "`\n"
	maxMembers   = 16

	debFormat = "2." // of debian-binary; what follows is a minor version
)

// readDeb gives the files of data.tar to s.
func readDeb(r io.Reader, s *sink) (*Package, error) {
	if _, err := io.CopyN(io.Discard, r, int64(len(arMagic))); err != nil {
		return nil, err
	}
	if err := member(r, "debian-binary", readFormat); err != nil {
		return nil, err
	}
	p := &Package{}
	if err := member(r, "control.tar", func(content io.Reader) error { return p.readControl(content, s) }); err != nil {
		return nil, err
	}
	if err := member(r, "data.tar", func(content io.Reader) error {
		return s.eachFile(content, "data.tar", s.putTar)
	}); err != nil {
		return nil, err
	}
	for range maxMembers { // signatures of builders, which dpkg ignores as well
		name, size, err := arMember(r)
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(name, "_") {
			return nil, fmt.Errorf("%w: %s after data.tar", ErrPackage, name)
		}
		if err := skip(r, name, size, size); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: more than %d members", ErrPackage, maxMembers)
}

// member reads the next member, which must have this name, up to a suffix that says how
// it is compressed.
func member(r io.Reader, want string, read func(io.Reader) error) error {
	name, size, err := arMember(r)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it has no %s", ErrPackage, want)
	}
	if err != nil {
		return err
	}
	if stem, _, _ := strings.Cut(strings.TrimPrefix(name, want), "."); !strings.HasPrefix(name, want) || stem != "" {
		return fmt.Errorf("%w: %s in the place of %s", ErrPackage, name, want)
	}
	content := &io.LimitedReader{R: r, N: size}
	if err := read(content); err != nil {
		return err
	}
	return skip(r, name, content.N, size)
}

// skip leaves out what is left of a member of this size, and its padding, which the last
// one may lack.
func skip(r io.Reader, name string, left, size int64) error {
	if _, err := io.CopyN(io.Discard, r, left); err != nil {
		return fmt.Errorf("%w: %s is cut off", ErrPackage, name)
	}
	if _, err := io.CopyN(io.Discard, r, size%2); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func readFormat(content io.Reader) error {
	format, err := io.ReadAll(io.LimitReader(content, 16))
	if err != nil || !strings.HasPrefix(string(format), debFormat) {
		return fmt.Errorf("%w: format %.16q of a .deb, want 2.0", ErrPackage, format)
	}
	return nil
}

// readControl learns what the package is from the file control of control.tar.
func (p *Package) readControl(content io.Reader, s *sink) error {
	seen := false
	err := s.eachFile(content, "control.tar", func(h *tar.Header, file io.Reader) error {
		if strings.TrimPrefix(h.Name, "./") != "control" {
			return nil
		}
		if seen || h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%w: control is there twice, or is not a file", ErrPackage)
		}
		seen = true
		text, err := io.ReadAll(io.LimitReader(blame{file}, maxControl+1))
		if err != nil {
			return err
		}
		if len(text) > maxControl {
			return fmt.Errorf("%w: control has more than %d bytes", ErrPackage, maxControl)
		}
		return p.parseControl(string(text))
	})
	if err == nil && !seen {
		err = fmt.Errorf("%w: control.tar has no control", ErrPackage)
	}
	return err
}

// parseControl reads deb-control(5).
func (p *Package) parseControl(text string) error {
	fields := map[string]*string{"package": &p.Name, "version": &p.Version, "architecture": &p.Architecture}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, ":")
		field := fields[strings.ToLower(name)]
		if !found || field == nil || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue
		}
		if *field != "" {
			return fmt.Errorf("%w: control has %s twice", ErrPackage, name)
		}
		*field = strings.TrimSpace(value)
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

// eachFile reads a tar archive, all of it: a plain one that is cut off between two
// files is an archive that ends there, to the reader of archives.
func (s *sink) eachFile(r io.Reader, what string, file func(*tar.Header, io.Reader) error) error {
	content, _, err := decompress.NewReader(bufio.NewReader(r))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrPackage, what, err)
	}
	defer content.Close()
	archive := tar.NewReader(&bounded{content, s})
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrPackage, what, err)
		}
		if err := file(h, archive); err != nil {
			return err
		}
	}
}

func (s *sink) putTar(h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeReg:
		return s.put(h.Name, content)
	case tar.TypeDir:
		_, err := cleanName(h.Name)
		return err
	}
	return s.other(h.Name)
}
