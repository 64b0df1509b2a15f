package linuxpkg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// An .rpm (RPM's documentation, "Package Format V4") is a lead, two headers of
// the same shape, the first padded to 8 bytes, and a compressed cpio archive.
const (
	rpmMagic       = "\xed\xab\xee\xdb"
	rpmLeadSize    = 96
	rpmHeaderMagic = "\x8e\xad\xe8\x01"
	rpmHeaderSize  = 16 // magic, 4 reserved bytes, entries and bytes, big-endian
	rpmEntrySize   = 16 // tag, type, offset and count, big-endian
	maxRPMEntries  = 0xFFFF
)

// Tags of the second header, and their types (rpmtag.h).
const (
	tagName    = 1000
	tagVersion = 1001
	tagRelease = 1002
	tagEpoch   = 1003
	tagArch    = 1022

	typeInt32  = 4
	typeString = 6
)

// readRPM gives the files of the payload to s.
func readRPM(r *bufio.Reader, s *sink) (*Package, error) {
	if _, err := io.CopyN(io.Discard, r, rpmLeadSize); err != nil {
		return nil, fmt.Errorf("%w: lead: %w", ErrPackage, err)
	}
	signature, err := readRPMHeader(r)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, -signature.size()&7); err != nil {
		return nil, fmt.Errorf("%w: signature: %w", ErrPackage, err)
	}
	header, err := readRPMHeader(r)
	if err != nil {
		return nil, err
	}
	p, err := header.describe()
	if err != nil {
		return nil, err
	}
	content, _, err := decompress.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: payload: %w", ErrPackage, err)
	}
	defer content.Close()
	return p, readCpio(&bounded{content, s}, s)
}

// rpmHeader is a header: an index, and the store that its entries point into.
type rpmHeader struct{ index, store []byte }

func (h *rpmHeader) size() int64 { return int64(rpmHeaderSize + len(h.index) + len(h.store)) }

func readRPMHeader(r io.Reader) (*rpmHeader, error) {
	intro := make([]byte, rpmHeaderSize)
	if _, err := io.ReadFull(r, intro); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrPackage, err)
	}
	entries, size := int64(binary.BigEndian.Uint32(intro[8:])), int64(binary.BigEndian.Uint32(intro[12:]))
	if string(intro[:4]) != rpmHeaderMagic || entries > maxRPMEntries || size > maxRPMHeader {
		return nil, fmt.Errorf("%w: header %x", ErrPackage, intro)
	}
	// ReadAll takes memory as bytes come, not as the header promises.
	body, err := io.ReadAll(io.LimitReader(r, entries*rpmEntrySize+size))
	if err != nil || int64(len(body)) != entries*rpmEntrySize+size {
		return nil, fmt.Errorf("%w: header is cut off", ErrPackage)
	}
	return &rpmHeader{body[:entries*rpmEntrySize], body[entries*rpmEntrySize:]}, nil
}

// find returns the store from the one value of a tag on, nil where the tag is not there.
func (h *rpmHeader) find(tag, kind uint32) ([]byte, error) {
	var found []byte
	for e := h.index; len(e) >= rpmEntrySize; e = e[rpmEntrySize:] {
		if binary.BigEndian.Uint32(e) != tag {
			continue
		}
		offset := binary.BigEndian.Uint32(e[8:])
		if found != nil || binary.BigEndian.Uint32(e[4:]) != kind || binary.BigEndian.Uint32(e[12:]) != 1 || int64(offset) >= int64(len(h.store)) {
			return nil, fmt.Errorf("%w: tag %d of the header", ErrPackage, tag)
		}
		found = h.store[offset:]
	}
	return found, nil
}

func (h *rpmHeader) text(tag uint32) (string, error) {
	value, err := h.find(tag, typeString)
	if err != nil {
		return "", err
	}
	text, _, ended := bytes.Cut(value, []byte{0})
	if !ended {
		return "", fmt.Errorf("%w: tag %d of the header is missing", ErrPackage, tag)
	}
	return string(text), nil
}

// describe reads what the package is.
func (h *rpmHeader) describe() (*Package, error) {
	var texts [4]string
	for i, tag := range []uint32{tagName, tagVersion, tagRelease, tagArch} {
		var err error
		if texts[i], err = h.text(tag); err != nil {
			return nil, err
		}
	}
	p := &Package{Name: texts[0], Version: texts[1] + "-" + texts[2], Architecture: texts[3]}
	epoch, err := h.find(tagEpoch, typeInt32)
	if err != nil {
		return nil, err
	}
	if len(epoch) >= 4 {
		p.Version = strconv.FormatUint(uint64(binary.BigEndian.Uint32(epoch)), 10) + ":" + p.Version
	}
	return p, nil
}

func readCpio(r io.Reader, s *sink) error {
	archive := cpio.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: payload: %w", ErrPackage, err)
		}
		switch h.Mode & cpio.ModeType {
		case cpio.ModeRegular:
			if h.Links > 1 { // its content comes with one of them only
				err = s.other(h.Name)
			} else {
				err = s.put(h.Name, archive)
			}
		case cpio.ModeDir:
			_, err = cleanName(h.Name)
		default:
			err = s.other(h.Name)
		}
		if err != nil {
			return err
		}
	}
}
