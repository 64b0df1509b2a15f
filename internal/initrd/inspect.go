package initrd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Limits on what is read. A Debian initrd with all modules unpacks to 300 MB.
const (
	maxUnpacked = 4 << 30 // bytes
	maxEntries  = 1 << 20
	maxSegments = 64
)

// Kind is the program that made an initrd.
type Kind string

// The kinds of initrd.
const (
	InitramfsTools Kind = "initramfs-tools"
	Dracut         Kind = "dracut"
	UnknownKind    Kind = "unknown"
)

// SegmentInfo describes one archive of an initrd.
type SegmentInfo struct {
	Format  decompress.Format `json:"format"`
	Entries int               `json:"entries"`
}

// Info is what an initrd is.
type Info struct {
	Kind     Kind          `json:"kind"`
	Systemd  bool          `json:"systemd"` // its init is systemd
	Agent    bool          `json:"agent"`   // it has an agent already: the image was converted before
	Init     bool          `json:"init"`    // it has an /init to go on with
	Segments []SegmentInfo `json:"segments"`
}

// Inspect reads an initrd to its end, unpacking nothing to memory. What follows
// a compressed archive other than gzip is part of that archive for it. The
// error wraps ErrMalformed where the data is at fault.
func Inspect(r io.Reader) (*Info, error) {
	info := &Info{Kind: UnknownKind}
	err := Walk(r, func(h *cpio.Header, _ io.Reader) error {
		info.note(h)
		return nil
	}, func(s SegmentInfo) {
		info.Segments = append(info.Segments, s)
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// note learns from the name of an entry. Prefixes such as "./" and "usr/" are
// not told apart.
func (i *Info) note(h *cpio.Header) {
	name := path.Clean(strings.TrimLeft(h.Name, "/"))
	switch {
	case "/"+name == bootconf.PathAgent:
		i.Agent = true
	case name == "init":
		i.Init = true
	}
	switch strings.TrimPrefix(name, "usr/") {
	case "scripts/functions", "conf/initramfs.conf":
		i.Kind = InitramfsTools
	case "lib/dracut", "lib/dracut/hooks", "lib/dracut-lib.sh":
		i.Kind = Dracut
	case "lib/systemd/systemd":
		i.Systemd = true
	}
}

// Walk calls entry for each file of each archive, in order, and segment after
// each archive. The content may be read during the call.
func Walk(r io.Reader, entry func(*cpio.Header, io.Reader) error, segment func(SegmentInfo)) error {
	return walk(&budget{bytes: maxUnpacked, entries: maxEntries}, r, entry, segment)
}

func walk(b *budget, r io.Reader, entry func(*cpio.Header, io.Reader) error, segment func(SegmentInfo)) error {
	in := bufio.NewReader(r)
	for n := 0; ; n++ {
		start, err := skipZeros(in)
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
		s, err := b.walkSegment(in, entry)
		if err != nil {
			return fmt.Errorf("archive %d of initrd: %w", n+1, err)
		}
		segment(s)
	}
}

// skipZeros returns the first bytes behind padding, none at the end.
func skipZeros(in *bufio.Reader) ([]byte, error) {
	for {
		next, err := in.Peek(1)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if next[0] != 0 {
			return next, nil
		}
		if _, err := in.Discard(1); err != nil {
			return nil, err
		}
	}
}

// budget is what may still be unpacked.
type budget struct {
	bytes   int64
	entries int
}

// walkSegment reads one archive, or a row of them that was compressed as one.
func (b *budget) walkSegment(in *bufio.Reader, entry func(*cpio.Header, io.Reader) error) (SegmentInfo, error) {
	content, format, err := decompress.NewReader(in)
	if err != nil {
		return SegmentInfo{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	defer content.Close()
	s := SegmentInfo{Format: format}
	if format == decompress.None {
		s.Entries, err = b.walkArchive(in, entry)
		return s, err
	}
	limited := &io.LimitedReader{R: content, N: b.bytes}
	plain := bufio.NewReader(limited)
	for {
		start, err := skipZeros(plain)
		if limited.N == 0 {
			return s, fmt.Errorf("%w: it unpacks to more than %s", ErrMalformed, size.Text(maxUnpacked))
		}
		if err != nil {
			return s, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if len(start) == 0 {
			b.bytes = limited.N
			return s, nil
		}
		n, err := b.walkArchive(plain, entry)
		s.Entries += n
		if err != nil {
			return s, err
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
