package initrd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// maxSegment bounds an archive of the agent's, unpacked, in bytes: an agent and the
// modules have some 15 MiB.
const maxSegment = 384 << 20

// Read reads what Write wrote and nothing looser, and tells how it is compressed: one
// archive that is byte for byte what Write makes of the segment, plain or as one
// compressed frame, and nothing before or behind it. The kernel unpacks all that it
// meets in an initrd, later files over earlier ones, so anything more would run in the
// agent's place. The error wraps ErrMalformed.
func Read(r io.Reader) (*Segment, decompress.Format, error) {
	in := bufio.NewReader(r)
	archive, format, err := readFrame(in)
	if err != nil {
		return nil, format, err
	}
	if _, err := in.Peek(1); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, format, err
		}
		return nil, format, fmt.Errorf("%w: trailing data after the archive", ErrMalformed)
	}
	s, err := parseSegment(archive)
	if err != nil {
		return nil, format, err
	}
	same := &comparison{want: archive}
	if err := s.write(same, decompress.None); err != nil && !errors.Is(err, errDiffers) {
		return nil, format, err
	}
	if same.differs || len(same.want) > 0 {
		return nil, format, fmt.Errorf("%w: the archive is not what is written for the agent, its configuration and modules", ErrMalformed)
	}
	return s, format, nil
}

// readFrame returns the archive in one compressed frame, or a plain one with all that
// follows it.
func readFrame(in *bufio.Reader) ([]byte, decompress.Format, error) {
	if start, _ := in.Peek(1); len(start) == 1 && start[0] == '0' { // an archive, as startsArchive
		archive, err := readBounded(in)
		return archive, decompress.None, err
	}
	content, format, err := decompress.Initramfs(in)
	if err != nil {
		return nil, format, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if content == nil || !slices.Contains(Compressions(), format) {
		return nil, format, fmt.Errorf("%w: it does not start with the agent's archive", ErrMalformed)
	}
	defer content.Close()
	archive, err := readBounded(content)
	if errors.Is(err, decompress.ErrMalformed) {
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return archive, format, err
}

func readBounded(r io.Reader) ([]byte, error) {
	archive, err := io.ReadAll(io.LimitReader(r, maxSegment+1))
	if err == nil && len(archive) > maxSegment {
		err = fmt.Errorf("%w: it unpacks to more than %s", ErrMalformed, size.Text(maxSegment))
	}
	return archive, err
}

// parseSegment takes the segment's files out of an archive. What else is in there shows
// when the segment is written again.
func parseSegment(archive []byte) (*Segment, error) {
	s := &Segment{}
	for files := cpio.NewReader(bytes.NewReader(archive)); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if h.Mode&cpio.ModeType != cpio.ModeRegular {
			continue
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		switch name := "/" + h.Name; {
		case name == bootconf.PathAgent:
			s.Agent = content
		case name == bootconf.PathConfig:
			s.Config = content
		case path.Dir(name) == bootconf.DirModules:
			_, stem, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".ko"), "-")
			s.Modules = append(s.Modules, kmod.Module{Name: stem, Data: content})
		default:
			return nil, fmt.Errorf("%w: the archive holds %.100q", ErrMalformed, h.Name)
		}
	}
}

// errDiffers ends the writing of what is not the same.
var errDiffers = errors.New("differs")

// comparison takes bytes that must be those wanted.
type comparison struct {
	want    []byte
	differs bool
}

func (c *comparison) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(c.want, p) {
		c.differs = true
		return 0, errDiffers
	}
	c.want = c.want[len(p):]
	return len(p), nil
}
