package initrd

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Limits on what is read. A Debian initrd with all modules unpacks to 300 MB.
const (
	maxUnpacked = 4 << 30 // bytes
	maxEntries  = 1 << 20
	maxSegments = 64
)

// alignment is where an archive may start, in bytes from the initrd's start or,
// within a compressed one, from the start of what it unpacks to.
const alignment = 4

// Walk reads an initrd as the kernel's unpack_to_rootfs does (init/initramfs.c).
// It calls entry for each file of each archive, in order, and segment after each
// archive that is plain or compressed as one. The content may be read during the
// call.
func Walk(r io.Reader, entry func(*cpio.Header, io.Reader) error, segment func(SegmentInfo)) error {
	return walk(&budget{bytes: maxUnpacked, entries: maxEntries}, r, entry, segment)
}

func walk(b *budget, r io.Reader, entry func(*cpio.Header, io.Reader) error, segment func(SegmentInfo)) error {
	in := newStream(r)
	for n := 0; ; n++ {
		start, err := in.skipZeros()
		if err != nil {
			return err
		}
		if len(start) == 0 {
			if n == 0 {
				return fmt.Errorf("%w: it is empty", ErrMalformed)
			}
			return nil
		}
		if n == maxSegments {
			return fmt.Errorf("%w: more than %d archives", ErrMalformed, maxSegments)
		}
		at := in.offset()
		s, err := b.walkSegment(in, entry)
		if err != nil {
			return fmt.Errorf("archive %d of initrd, at byte %d: %w", n+1, at, err)
		}
		segment(s)
	}
}

// stream knows how far it was read.
type stream struct {
	*bufio.Reader
	below *counter
}

type counter struct {
	r    io.Reader
	read int64 // bytes
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	return n, err
}

func newStream(r io.Reader) *stream {
	c := &counter{r: r}
	return &stream{bufio.NewReader(c), c}
}

// offset is how many bytes were taken.
func (s *stream) offset() int64 { return s.below.read - int64(s.Buffered()) }

// skipZeros returns the first byte behind padding, none at the end.
func (s *stream) skipZeros() ([]byte, error) {
	for {
		next, err := s.Peek(1)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if next[0] != 0 {
			return next, nil
		}
		if _, err := s.Discard(1); err != nil {
			return nil, err
		}
	}
}

// startsArchive says whether the kernel takes what follows for a plain archive.
// The same bytes elsewhere are junk to it.
func (s *stream) startsArchive() (bool, error) {
	start, err := s.Peek(1)
	if err != nil || start[0] != '0' {
		return false, err
	}
	if at := s.offset(); at%alignment != 0 {
		return false, fmt.Errorf("%w: an archive starts %d bytes after a multiple of %d, where the kernel does not accept one", ErrMalformed, at%alignment, alignment)
	}
	return true, nil
}

// budget is what may still be unpacked.
type budget struct {
	bytes   int64
	entries int
}

// walkSegment reads one archive, or a row of them that was compressed as one.
func (b *budget) walkSegment(in *stream, entry func(*cpio.Header, io.Reader) error) (SegmentInfo, error) {
	s := SegmentInfo{Format: decompress.None}
	plain, err := in.startsArchive()
	if err != nil {
		return s, err
	}
	if plain {
		s.Entries, err = b.walkArchive(in, entry)
		return s, err
	}
	content, format, err := decompress.Initramfs(in.Reader)
	s.Format = format
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if content == nil {
		start, _ := in.Peek(decompress.MagicSize) // as far as it goes
		return s, fmt.Errorf("%w: %q starts no archive that the kernel reads", ErrMalformed, start)
	}
	defer content.Close()
	s.Entries, err = b.walkCompressed(content, entry)
	return s, err
}

func (b *budget) walkCompressed(content io.Reader, entry func(*cpio.Header, io.Reader) error) (entries int, err error) {
	limited := &io.LimitedReader{R: content, N: b.bytes}
	in := newStream(limited)
	for n := 0; ; n++ {
		start, err := in.skipZeros()
		switch {
		case limited.N == 0:
			return entries, fmt.Errorf("%w: it unpacks to more than %s", ErrMalformed, size.Text(maxUnpacked))
		case err != nil:
			return entries, fmt.Errorf("%w: %w", ErrMalformed, err)
		case len(start) == 0 && n == 0:
			return entries, fmt.Errorf("%w: it unpacks to nothing", ErrMalformed)
		case len(start) == 0:
			b.bytes = limited.N
			return entries, nil
		}
		plain, err := in.startsArchive()
		if err != nil {
			return entries, err
		}
		if !plain {
			return entries, fmt.Errorf("%w: the compressed data is not an archive, from byte %d on", ErrMalformed, in.offset())
		}
		more, err := b.walkArchive(in, entry)
		entries += more
		if err != nil {
			return entries, err
		}
	}
}

func (b *budget) walkArchive(r io.Reader, entry func(*cpio.Header, io.Reader) error) (entries int, err error) {
	archive := cpio.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return entries, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		entries++
		if b.entries--; b.entries < 0 {
			return entries, fmt.Errorf("%w: more than %d files", ErrMalformed, maxEntries)
		}
		if err := entry(h, archive); err != nil {
			return entries, err
		}
	}
}
