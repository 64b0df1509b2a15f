package kmod

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

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
	rpmEntrySize   = 16
	maxRPMHeader   = 256 << 20 // RPM's own limit
	maxRPMEntries  = 0xFFFF
)

// readRPM gives the files of the payload to s. Signatures are not checked: the
// caller knows the package by its hash.
func readRPM(r *bufio.Reader, s *sink) error {
	if _, err := io.CopyN(io.Discard, r, rpmLeadSize); err != nil {
		return fmt.Errorf("%w: lead: %w", ErrPackage, err)
	}
	signature, err := skipRPMHeader(r)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, r, -signature&7); err != nil {
		return fmt.Errorf("%w: signature: %w", ErrPackage, err)
	}
	if _, err := skipRPMHeader(r); err != nil {
		return err
	}
	content, _, err := decompress.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: payload: %w", ErrPackage, err)
	}
	defer content.Close()
	return readCpio(content, s)
}

// skipRPMHeader returns the header's size.
func skipRPMHeader(r io.Reader) (int64, error) {
	intro := make([]byte, rpmHeaderSize)
	if _, err := io.ReadFull(r, intro); err != nil {
		return 0, fmt.Errorf("%w: header: %w", ErrPackage, err)
	}
	entries, size := int64(binary.BigEndian.Uint32(intro[8:])), int64(binary.BigEndian.Uint32(intro[12:]))
	if string(intro[:4]) != rpmHeaderMagic || entries > maxRPMEntries || size > maxRPMHeader {
		return 0, fmt.Errorf("%w: header %x", ErrPackage, intro)
	}
	body := entries*rpmEntrySize + size
	if _, err := io.CopyN(io.Discard, r, body); err != nil {
		return 0, fmt.Errorf("%w: header: %w", ErrPackage, err)
	}
	return rpmHeaderSize + body, nil
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
		if h.Mode&cpio.ModeType != cpio.ModeRegular {
			continue
		}
		if err := s.put(h.Name, archive); err != nil {
			return err
		}
	}
}
