package ext4

import (
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// readAt reads a file's data as io.ReaderAt does. hint may keep the run that
// was found last, so that reading in order does not search for every piece.
func (f *FS) readAt(in *inode, p []byte, offset int64, hint *placed) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("negative offset %d", offset)
	}
	if offset >= in.stat.Size {
		return 0, io.EOF
	}
	var short error
	if left := in.stat.Size - offset; int64(len(p)) > left {
		p, short = p[:left], io.EOF
	}
	if in.has(flagInlineData) {
		data, err := f.inlineData(in)
		if err != nil {
			return 0, err
		}
		if in.stat.Size > int64(len(data)) {
			return 0, corrupt("inode %d has %d bytes of inline data, not %d", in.number, len(data), in.stat.Size)
		}
		return copy(p, data[offset:]), short
	}
	done := 0
	for done < len(p) {
		n, err := f.readRun(in, p[done:], uint64(offset)+uint64(done), hint)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, short
}

// placed is a run and the file's block at which it begins.
type placed struct {
	at uint64
	run
}

// readRun reads what one run holds of p.
func (f *FS) readRun(in *inode, p []byte, offset uint64, hint *placed) (int, error) {
	bs := f.sb.blockSize
	block := offset / bs
	if block < hint.at || block >= hint.at+hint.length {
		r, err := f.lookup(in, block)
		if err != nil {
			return 0, err
		}
		*hint = placed{block, r}
	}
	within := offset - hint.at*bs
	p = p[:min(uint64(len(p)), hint.length*bs-within)]
	if hint.start == 0 {
		clear(p)
		return len(p), nil
	}
	n, err := f.r.ReadAt(p, int64(hint.start*bs+within))
	if n == len(p) {
		return n, nil
	}
	return n, fmt.Errorf("read data of inode %d: %w", in.number, err)
}

// readAll reads the data of a file that may not be longer than limit.
func (f *FS) readAll(in *inode, limit int64) ([]byte, error) {
	if in.stat.Size > limit {
		return nil, corrupt("inode %d has %d bytes where at most %d are meant", in.number, in.stat.Size, limit)
	}
	data := make([]byte, in.stat.Size)
	if len(data) == 0 {
		return nil, nil
	}
	_, err := f.readAt(in, data, 0, &placed{})
	return data, err
}

// inlineData is what i_block holds and what goes on in an attribute.
func (f *FS) inlineData(in *inode) ([]byte, error) {
	more, err := f.inlineRest(in)
	if err != nil {
		return nil, err
	}
	return append(append([]byte(nil), in.blockArea()...), more...), nil
}

// maxTarget is the length of a symbolic link's target, in bytes.
const maxTarget = 4095

// fastLink tells whether a symbolic link's target is in i_block.
func (in *inode) fastLink() bool {
	return in.stat.Size < blockAreaSize && !in.has(flagInlineData|flagExtents)
}

// readLink returns the target of a symbolic link. A short one is in i_block.
func (f *FS) readLink(in *inode) (string, error) {
	if !in.is(rootfs.ModeSymlink) {
		return "", fmt.Errorf("not a symbolic link")
	}
	if in.stat.Size == 0 {
		return "", corrupt("symbolic link %d is empty", in.number)
	}
	if in.fastLink() {
		return string(in.blockArea()[:in.stat.Size]), nil
	}
	target, err := f.readAll(in, maxTarget)
	return string(target), err
}
