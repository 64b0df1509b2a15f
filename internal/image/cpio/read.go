package cpio

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Reader reads one archive. It consumes nothing behind the trailer.
type Reader struct {
	r        io.Reader
	consumed int64 // of the archive
	left     int64 // of the present entry's content
	sum      *sum  // of that content, nil where it is not checked
	done     bool
}

// sum is the checksum of a regular file in an archive "with CRC": its bytes added
// up.
type sum struct{ want, got uint32 }

func (s *sum) add(p []byte) {
	for _, b := range p {
		s.got += uint32(b)
	}
}

// NewReader reads an archive from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next skips to the next entry. At the trailer it returns io.EOF; an archive
// without one is cut off: ErrMalformed.
func (r *Reader) Next() (*Header, error) {
	if r.done {
		return nil, io.EOF
	}
	if err := r.skipContent(); err != nil {
		return nil, err
	}
	raw := make([]byte, headerSize)
	if err := r.readFull(raw); err != nil {
		return nil, err
	}
	numbers, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	r.sum = nil
	name, err := r.readName(numbers[11])
	if err != nil {
		return nil, err
	}
	h := &Header{Name: name, Mode: numbers[1], UID: numbers[2], GID: numbers[3], Links: numbers[4], ModTime: numbers[5], Size: numbers[6]}
	r.left = int64(h.Size)
	if string(raw[:len(magic)]) == magicWithCRC && h.Mode&ModeType == ModeRegular && h.Size > 0 {
		r.sum = &sum{want: numbers[12]}
	}
	if name == trailer {
		r.done = true
		if h.Size != 0 {
			return nil, fmt.Errorf("%w: the trailer has content", ErrMalformed)
		}
		return nil, io.EOF
	}
	return h, nil
}

// Read reads the present entry's content and ends with io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.consumed += int64(n)
	if errors.Is(err, io.EOF) && r.left > 0 {
		err = fmt.Errorf("%w: content is cut off", ErrMalformed)
	}
	if r.sum != nil {
		r.sum.add(p[:n])
		if (err == nil || errors.Is(err, io.EOF)) && r.left == 0 && r.sum.got != r.sum.want {
			err = fmt.Errorf("%w: content with the checksum %08X, not %08X", ErrMalformed, r.sum.got, r.sum.want)
		}
	}
	return n, err
}

// Target reads the present entry as a symbolic link.
func (r *Reader) Target() (string, error) {
	if r.left > maxLink {
		return "", fmt.Errorf("%w: symbolic link of %d bytes", ErrMalformed, r.left)
	}
	target, err := io.ReadAll(r)
	return string(target), err
}

func (r *Reader) skipContent() error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return r.skipPadding()
}

func (r *Reader) skipPadding() error {
	return r.readFull(make([]byte, padding(r.consumed)))
}

func (r *Reader) readFull(p []byte) error {
	n, err := io.ReadFull(r.r, p)
	r.consumed += int64(n)
	return cutOff(err)
}

// readName reads a name of the given length, its NUL included, and the padding.
func (r *Reader) readName(size uint32) (string, error) {
	if size < 2 || size > maxName {
		return "", fmt.Errorf("%w: name of %d bytes", ErrMalformed, size)
	}
	raw := make([]byte, size)
	if err := r.readFull(raw); err != nil {
		return "", err
	}
	name := strings.TrimRight(string(raw), "\x00") // more than one align the content
	if name == "" || len(name) == len(raw) || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%w: name %.100q", ErrMalformed, raw)
	}
	return name, r.skipPadding()
}

// parseHeader returns the 13 numbers of a header.
func parseHeader(raw []byte) (numbers [13]uint32, err error) {
	if m := string(raw[:len(magic)]); m != magic && m != magicWithCRC {
		return numbers, fmt.Errorf("%w: magic %q", ErrMalformed, m)
	}
	for i := range numbers {
		digits := string(raw[len(magic)+8*i:][:8])
		n, err := strconv.ParseUint(digits, 16, 32)
		if err != nil {
			return numbers, fmt.Errorf("%w: number %q", ErrMalformed, digits)
		}
		numbers[i] = uint32(n)
	}
	return numbers, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrMalformed)
	}
	return err
}
