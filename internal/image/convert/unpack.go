package convert

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// errPacked is a source that is compressed or an archive, and cannot be unpacked.
var errPacked = errors.New("cannot unpack the source")

// Limits of what is unpacked.
const (
	maxUnpacked = 256 << 30 // bytes that any layer may give
	maxLayers   = 4         // compression and archives inside of each other
	maxMembers  = 4096      // files of an archive
	maxNamed    = 8         // disk images that an error names
)

// unpacked is a source that was packed.
type unpacked struct {
	path string // of the disk image, which nothing else is beside
	how  string // "xz, tar"; "" where the source is a disk image itself
}

// unpack writes the one disk image in a compressed file or an archive to the
// directory dir, which it makes. A source that is a disk image stays where it is.
// Names of an archive are for messages only.
func unpack(ctx context.Context, source, dir string, events Events) (*unpacked, error) {
	f, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	progress := &told{r: until{ctx, f}, events: silent{}, total: info.Size()}
	in := bufio.NewReaderSize(progress, packedBuffer)
	if kind, err := detectPacked(in); err != nil || kind == diskImage {
		return &unpacked{path: source}, err
	}
	events.Step("Unpack " + filepath.Base(source))
	progress.events = events
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	u := &unpacker{ctx: ctx, target: filepath.Join(dir, "image"), most: maxUnpacked}
	err = u.layer(in, "", nil)
	if err == nil && len(u.disks) != 1 {
		err = u.choice()
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w; unpack it, and give the disk image itself", errPacked, err)
	}
	return &unpacked{path: u.target, how: strings.Join(u.how, ", ")}, err
}

// unpacker goes through the layers of one source.
type unpacker struct {
	ctx    context.Context // of one call
	target string
	most   int64    // bytes that any layer may give
	how    []string // the layers around the disk image
	disks  []string // images that were found, by their names for people
}

// choice says that there is not one disk image.
func (u *unpacker) choice() error {
	if len(u.disks) == 0 {
		return errors.New("it contains no disk image")
	}
	more := ""
	if len(u.disks) > maxNamed {
		more = " and more"
	}
	return fmt.Errorf("there are several disk images in it, %s%s, and one has to be chosen", strings.Join(u.disks[:min(len(u.disks), maxNamed)], ", "), more)
}

// layer reads what is compressed, an archive or a disk image. name is that of a
// member of an archive, "" outside of one: there, whatever there is, is taken for a
// disk image. how are the layers around it.
func (u *unpacker) layer(in *bufio.Reader, name string, how []string) error {
	kind, err := detectPacked(in)
	if err != nil {
		return err
	}
	if kind == diskImage {
		if name != "" && !looksLikeDisk(in) {
			return nil
		}
		return u.take(in, name, how)
	}
	if len(how) == maxLayers {
		return fmt.Errorf("more than %d layers of compression and archives", maxLayers)
	}
	how = append(slices.Clone(how), kind)
	switch kind {
	case tarArchive:
		return u.archive(in, how)
	case "zip", "7z":
		return fmt.Errorf("it is a %s archive", kind)
	}
	content := &members{r: in}
	defer content.Close() //nolint:errcheck // it was only read
	inner := u.bounded(content)
	if err := u.layer(inner, name, how); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, inner) // what is behind the end has to be sound as well
	return err
}

// bounded reads what a layer gives, no more than it may, until the work is to end.
func (u *unpacker) bounded(r io.Reader) *bufio.Reader {
	return bufio.NewReaderSize(&limited{r: until{u.ctx, r}, most: u.most}, packedBuffer)
}

// archive goes through the files of an archive.
func (u *unpacker) archive(in io.Reader, how []string) error {
	archive := tar.NewReader(in)
	for count := 0; ; count++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tar: %w", err)
		}
		if count == maxMembers {
			return fmt.Errorf("tar: more than %d files", maxMembers)
		}
		if header.Typeflag != tar.TypeReg && header.Typeflag != tar.TypeGNUSparse {
			continue
		}
		if err := u.layer(u.bounded(archive), fmt.Sprintf("%.64q", header.Name), how); err != nil {
			return err
		}
	}
}

// take writes a disk image. Those after the first are only named.
func (u *unpacker) take(in io.Reader, name string, how []string) error {
	if u.disks = append(u.disks, name); len(u.disks) > 1 {
		return nil
	}
	u.how = how
	f, err := os.OpenFile(u.target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := copySparse(f, in); err != nil {
		return err
	}
	return f.Close()
}

// copySparse writes what it reads; zeros become holes.
func copySparse(f *os.File, in io.Reader) error {
	block := make([]byte, packedBuffer)
	var at int64
	for {
		filled := 0
		var err error
		for filled < len(block) && err == nil {
			var n int
			n, err = in.Read(block[filled:])
			filled += n
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !allZero(block[:filled]) {
			if _, err := f.WriteAt(block[:filled], at); err != nil {
				return err
			}
		}
		if at += int64(filled); err != nil {
			return f.Truncate(at)
		}
	}
}

// packedBuffer is how much is read at a time, in bytes.
const packedBuffer = 128 << 10

// Kinds of sources beside those of decompress.
const (
	diskImage  = "disk image"
	tarArchive = "tar"
)

// detectPacked tells by the first bytes what a file is.
func detectPacked(in *bufio.Reader) (kind string, err error) {
	start, err := in.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch how := decompress.Detect(start); how {
	case decompress.Gzip, decompress.Bzip2, decompress.XZ, decompress.Zstd, decompress.LZ4:
		return string(how), nil
	}
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return "zip", nil
	case bytes.HasPrefix(start, []byte("7z\xbc\xaf\x27\x1c")):
		return "7z", nil
	case len(start) == 512 && string(start[257:262]) == "ustar" && !bootSector(start):
		return tarArchive, nil
	}
	return diskImage, nil
}

// bootSector says whether a disk with a partition table starts so.
func bootSector(start []byte) bool {
	return len(start) >= 512 && start[510] == 0x55 && start[511] == 0xAA
}

// looksLikeDisk tells the disk image of an archive from what is beside it: an OVF
// description, checksums, a readme.
func looksLikeDisk(in *bufio.Reader) bool {
	start, _ := in.Peek(512) // as far as it goes
	for _, magic := range []string{"QFI\xfb", "KDMV", "conectix", "vhdxfile", "# Disk DescriptorFile"} {
		if bytes.HasPrefix(start, []byte(magic)) {
			return true
		}
	}
	return bootSector(start) || len(start) >= 68 && binary.LittleEndian.Uint32(start[64:]) == 0xBEDA107F // VDI
}

// members is the content of a compressed file: gzip may have several members, one
// behind the other.
type members struct {
	r       *bufio.Reader
	content io.ReadCloser
	format  decompress.Format
}

func (m *members) Read(p []byte) (int, error) {
	for {
		if m.content == nil {
			var err error
			if m.content, m.format, err = decompress.NewReader(m.r); err != nil {
				return 0, err
			}
		}
		n, err := m.content.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) || m.format != decompress.Gzip {
			if errors.Is(err, io.EOF) && n > 0 {
				err = nil
			}
			return n, err
		}
		next, err := m.r.Peek(decompress.MagicSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		switch {
		case len(next) == 0:
			return 0, io.EOF
		case decompress.Detect(next) != decompress.Gzip:
			return 0, fmt.Errorf("%w: %s: trailing data", decompress.ErrMalformed, m.format)
		}
		m.content.Close()
		m.content = nil
	}
}

func (m *members) Close() error {
	if m.content == nil {
		return nil
	}
	return m.content.Close()
}

// told tells how much of a source was read.
type told struct {
	r           io.Reader
	events      Events
	done, total int64
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.done += int64(n)
	t.events.Progress(t.done, t.total)
	return n, err
}
