package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/guestfs"
)

// workingCopy is the bare file system of a partition in a file of its own, where
// it can be changed. It is sparse: what the file system does not use is not
// copied.
type workingCopy struct {
	file *os.File
	kind rootfs.Type
	fs   rootfs.Volume
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
	w := &workingCopy{file: f, kind: v.Type}
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

// fill copies what is used.
func (w *workingCopy) fill(ctx context.Context, s *source, v *Volume, events Events) error {
	ranges, size, err := used(v)
	if err != nil {
		return err
	}
	var all int64
	for i := range ranges {
		ranges[i].Offset += v.Offset
		all += ranges[i].Length
	}
	if err := w.file.Truncate(size); err != nil {
		return err
	}
	var copied atomic.Int64
	return s.disk.ReadRanges(ctx, ranges, func(p []byte, offset int64) error {
		events.Progress(copied.Add(int64(len(p))), all)
		if allZero(p) {
			return nil
		}
		_, err := w.file.WriteAt(p, offset-v.Offset)
		return err
	})
}

// used returns what a volume's file system uses and how long it is: everything,
// where it is not known.
func used(v *Volume) (ranges []qemu.Range, size int64, err error) {
	if v.FS == nil {
		return []qemu.Range{{Length: v.Size}}, v.Size, nil
	}
	for r, err := range v.FS.Used() {
		if err != nil {
			return nil, 0, err
		}
		ranges = append(ranges, qemu.Range{Offset: r.Offset, Length: r.Length})
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
	volume, err := ext4.Open(w.file, info.Size())
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
	if err := e2fsprogs.Apply(ctx, w.file.Name(), 0, changes); err != nil {
		return err
	}
	return w.open(ctx)
}
