package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/guestfs"
)

// workingCopy is the bare file system of a partition in a file of its own, where
// it can be changed. It is sparse: what the file system does not use is not copied.
// Of an ext4 the data of files is not either: it is lent, and read from the source.
type workingCopy struct {
	file *os.File
	kind rootfs.Type
	fs   rootfs.Volume
	// source is the file system that was copied, lent what of it was not.
	source io.ReaderAt
	lent   []rootfs.Range
	// options name the subvolume that is the root, of a btrfs.
	options string
	guest   *guestfs.FS // what reads an xfs or btrfs
}

// copyOut copies the file system of a volume to the file path, and replays its
// journal if it was not unmounted.
func copyOut(ctx context.Context, s *source, v *Volume, path string, events Events) (*workingCopy, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	readNoFurther(f)
	w := &workingCopy{file: f, kind: v.Type, source: io.NewSectionReader(s.disk, v.Offset, v.Size)}
	if err = w.fill(ctx, s, v, events); err == nil {
		err = w.settle(ctx, v)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("partition %d: %w", v.Partition.Number, err), w.close())
	}
	return w, nil
}

func (w *workingCopy) close() error {
	var err error
	if w.guest != nil {
		err = w.guest.Close()
	}
	return errors.Join(err, w.file.Close())
}

// reader reads the file system as it is now.
func (w *workingCopy) reader() io.ReaderAt {
	return &overlay{working: w.file, source: w.source, lent: w.lent}
}

// fill copies what is used and not lent.
func (w *workingCopy) fill(ctx context.Context, s *source, v *Volume, events Events) error {
	ranges, size, err := used(v)
	if err != nil {
		return err
	}
	if w.lent, err = lendable(v.FS); err != nil {
		return err
	}
	if err := w.file.Truncate(size); err != nil {
		return err
	}
	return w.take(ctx, s, v, without(ranges, w.lent), events)
}

// lendable returns what the working copy of a file system can do without: nothing,
// where that is not known.
func lendable(of rootfs.Volume) ([]rootfs.Range, error) {
	volume, ok := of.(*ext4.FS)
	if !ok {
		return nil, nil
	}
	ranges, err := volume.Contents()
	if errors.Is(err, rootfs.ErrUnsupported) || errors.Is(err, rootfs.ErrCorrupt) {
		return nil, nil // e2fsck decides, on all of it
	}
	return ranges, err
}

// take copies ranges of the source. Zeros are left out.
func (w *workingCopy) take(ctx context.Context, s *source, v *Volume, ranges []rootfs.Range, events Events) error {
	var pieces []qemu.Range
	var copied atomic.Int64
	all := total(ranges)
	for _, r := range near(ranges, closeBy) {
		pieces = append(pieces, qemu.Range{Offset: r.Offset + v.Offset, Length: r.Length})
	}
	return s.disk.ReadRanges(ctx, pieces, func(p []byte, offset int64) error {
		offset -= v.Offset
		return inside(ranges, rootfs.Range{Offset: offset, Length: int64(len(p))}, func(r rootfs.Range) error {
			events.Progress(copied.Add(r.Length), all)
			return writeSparse(w.file, p[r.Offset-offset:][:r.Length], r.Offset)
		})
	})
}

// writeSparse writes the pieces of p that are not zero.
func writeSparse(f io.WriterAt, p []byte, offset int64) error {
	const piece = 4096
	for at := 0; at < len(p); {
		if end := min(at+piece, len(p)); allZero(p[at:end]) {
			at = end
			continue
		}
		first := at
		for at < len(p) && !allZero(p[at:min(at+piece, len(p))]) {
			at = min(at+piece, len(p))
		}
		if _, err := f.WriteAt(p[first:at], offset+int64(first)); err != nil {
			return err
		}
	}
	return nil
}

// used returns what a volume's file system uses and how long it is: everything,
// where it is not known.
func used(v *Volume) (ranges []rootfs.Range, size int64, err error) {
	if v.FS == nil {
		return []rootfs.Range{{Length: v.Size}}, v.Size, nil
	}
	for r, err := range v.FS.Used() {
		if err != nil {
			return nil, 0, err
		}
		ranges = append(ranges, r)
	}
	return ranges, v.FS.Size(), nil
}

// settle makes the copy a file system at rest, and opens it.
func (w *workingCopy) settle(ctx context.Context, v *Volume) error {
	if open, ok := v.FS.(interface{ NeedsRecovery() bool }); ok && open.NeedsRecovery() {
		if err := e2fsprogs.Recover(ctx, w.file.Name(), 0); err != nil {
			return err
		}
	}
	return w.open(ctx)
}

// open reads the file system anew, at first and after it has changed.
func (w *workingCopy) open(ctx context.Context) error {
	if w.kind != rootfs.Ext4 {
		return w.openGuest(ctx)
	}
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	volume, err := ext4.Open(w.reader(), info.Size())
	if err != nil {
		return err
	}
	w.fs = volume
	return nil
}

// openGuest opens an xfs or btrfs. Distributions put the root of a btrfs into a
// subvolume of one of few names.
func (w *workingCopy) openGuest(ctx context.Context) error {
	candidates := []string{""}
	if w.kind == rootfs.Btrfs {
		candidates = append(candidates, "subvol=@rootfs", "subvol=@", "subvol=root")
	}
	if w.fs != nil {
		candidates = []string{w.options}
	}
	if w.guest != nil {
		if err := w.guest.Close(); err != nil {
			return err
		}
		w.guest = nil
	}
	for _, options := range candidates {
		volume, err := guestfs.Open(ctx, w.file.Name(), options)
		if errors.Is(err, rootfs.ErrProgram) {
			return err
		}
		if err != nil {
			continue
		}
		if isRoot(volume) {
			w.fs, w.guest, w.options = volume, volume, options
			return nil
		}
		if err := volume.Close(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: no /etc/os-release in this %s", errNoRoot, w.kind)
}

// change settles the copy, makes changes to it and opens it anew.
func (w *workingCopy) change(ctx context.Context, changes []rootfs.Change) error {
	if w.kind != rootfs.Ext4 {
		if err := w.guest.Close(); err != nil {
			return err
		}
		w.guest = nil
		if err := guestfs.Apply(ctx, w.file.Name(), w.options, changes); err != nil {
			return err
		}
		return w.open(ctx)
	}
	if err := e2fsprogs.Settle(ctx, w.file.Name(), 0); err != nil {
		return fmt.Errorf("in the source, before any change: %w; repair it there with e2fsck -f", err)
	}
	// What e2fsck mends must not concern what it did not see.
	if err := w.reopen(ctx); err != nil {
		return fmt.Errorf("in the source, before any change: %w; repair it there with e2fsck -f", err)
	}
	if err := e2fsprogs.ApplyPrepared(ctx, w.file.Name(), 0, changes, w.recall); err != nil {
		return err
	}
	return w.reopen(ctx)
}

// reopen opens the file system after it has changed, and holds it to be so that all
// that is lent still is the data of files. Then nobody has written there: blocks of a
// file become others' only if the file goes away, which recall knows of.
func (w *workingCopy) reopen(ctx context.Context) error {
	if err := w.open(ctx); err != nil || len(w.lent) == 0 {
		return err
	}
	contents, err := w.fs.(*ext4.FS).Contents()
	if err != nil {
		return err
	}
	if lost := without(w.lent, contents); len(lost) > 0 {
		return fmt.Errorf("%w: the %d bytes at %d do not belong to a file any more", rootfs.ErrCorrupt, lost[0].Length, lost[0].Offset)
	}
	return nil
}

// recall copies the data of files that are going to be removed: what takes their
// blocks is to be found in the working copy.
func (w *workingCopy) recall(names []string) error {
	volume := w.fs.(*ext4.FS)
	var ranges []rootfs.Range
	for _, name := range names {
		blocks, err := volume.Blocks(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // one of the changes has made it
		}
		if err != nil {
			return err
		}
		ranges = append(ranges, blocks...)
	}
	reader, buffer := w.reader(), make([]byte, chunkSize)
	ranges = inOrder(ranges)
	for _, r := range ranges {
		for r.Length > 0 {
			piece := buffer[:min(r.Length, chunkSize)]
			if _, err := reader.ReadAt(piece, r.Offset); err != nil {
				return err
			}
			if err := writeSparse(w.file, piece, r.Offset); err != nil {
				return err
			}
			r = from(r, r.Offset+int64(len(piece)))
		}
	}
	w.lent = without(w.lent, ranges)
	return nil
}
