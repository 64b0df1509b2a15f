package initrd

import (
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// minPadding are the zeros that always lie between original and segment. The
// kernel takes a plain archive at a multiple of 4 bytes from the initrd's start
// only; and behind an archive in LZ4's legacy format it looks for four zeros, or
// else takes the next four bytes for the length of one more block.
const minPadding = 4

// pathBtrfsScan is what initramfs-tools runs before it mounts the root, where an
// image has btrfs-progs: it tells the kernel of every btrfs on every disk, whatever
// udev hides.
const pathBtrfsScan = "/scripts/local-premount/btrfs"

// noBtrfsScan stands in its place: the root is one device, which mount names.
const noBtrfsScan = "#!/bin/sh\nexit 0\n"

// distributionItems are the files by which the programs of a distribution's initrd
// keep to the root.
func distributionItems() []item {
	return []item{
		{PathUdevRule, cpio.ModeRegular | 0o644, []byte(UdevRule)},
		{PathUdevForeign, cpio.ModeRegular | 0o644, []byte(UdevForeign)},
		{pathBtrfsScan, cpio.ModeRegular | 0o755, []byte(noBtrfsScan)},
	}
}

// Append copies a distribution's initrd to w as it is and adds the segment,
// compressed as the guest's kernel can read it (one of Compressions). It returns the
// offset in bytes at which the segment starts, a multiple of 4. The output depends on
// nothing but the arguments.
func Append(w io.Writer, original io.Reader, s Segment, how decompress.Format) (offset int64, err error) {
	n, err := io.Copy(w, original)
	if err != nil {
		return 0, fmt.Errorf("copy initrd: %w", err)
	}
	if n == 0 {
		return 0, fmt.Errorf("%w: the original is empty", ErrMalformed)
	}
	padding := minPadding + (-n & 3)
	if _, err := w.Write(make([]byte, padding)); err != nil {
		return 0, fmt.Errorf("pad initrd: %w", err)
	}
	return n + padding, s.write(w, how, distributionItems()...)
}

// ReadAppended takes agent and configuration out of an initrd that Append wrote, by the
// kernel's rule that later files win. What else is in there is not looked at. The error
// wraps ErrMalformed, also where either is missing.
func ReadAppended(r io.Reader) (*Segment, error) {
	s := &Segment{}
	err := Walk(r, func(h *cpio.Header, content io.Reader) (err error) {
		if h.Mode&cpio.ModeType != cpio.ModeRegular {
			return nil
		}
		switch "/" + h.Name {
		case bootconf.PathAgent:
			s.Agent, err = readPart(content)
		case bootconf.PathConfig:
			s.Config, err = readPart(content)
		}
		return err
	}, func(SegmentInfo) {})
	if err != nil {
		return nil, err
	}
	if len(s.Agent) == 0 || len(s.Config) == 0 {
		return nil, fmt.Errorf("%w: it has no agent, or no configuration for it", ErrMalformed)
	}
	return s, nil
}

func readPart(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxAgent+1))
	if err == nil && len(content) > maxAgent {
		err = fmt.Errorf("%w: an agent of more than %s", ErrMalformed, size.Text(maxAgent))
	}
	return content, err
}

// maxAgent bounds an agent, in bytes.
const maxAgent = 64 << 20
