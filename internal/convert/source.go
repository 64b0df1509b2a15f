package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/debugfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
)

// source is an open source image.
type source struct {
	image     *qemu.Source
	disk      *qemu.Disk
	table     *gpt.Table
	converted bool // the table was an MBR
	list      []Volume
	root      *Volume
	boot      *Volume // nil when the root has its kernels itself
}

func (s *source) close() {
	s.disk.Close() //nolint:errcheck // it was only read
}

// openSource opens the source image and finds its root.
func (c *conversion) openSource(ctx context.Context) (*source, error) {
	s, err := openSource(ctx, c.Input)
	if err != nil {
		return nil, err
	}
	if s.root, err = findRoot(s.list); err == nil {
		s.boot, err = findBoot(s.list, s.root)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	c.record.Source = staging.Source{
		Path: filepath.Base(c.Input), Format: string(s.image.Format), Size: s.disk.Size(),
	}
	if s.converted {
		c.Events.Note("the MBR becomes a GPT: partitions get new GUIDs")
	}
	c.Events.Note(fmt.Sprintf("%s, %d MiB, root on partition %d (%s)", s.image.Format, s.disk.Size()>>20, s.root.Partition.Number, s.root.Type))
	return s, nil
}

// openSource opens an image and looks into its partitions.
func openSource(ctx context.Context, path string) (*source, error) {
	image, err := qemu.Probe(path)
	if err != nil {
		return nil, err
	}
	disk, err := qemu.Open(ctx, image)
	if err != nil {
		return nil, err
	}
	table, converted, err := partitions(disk)
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return &source{image: image, disk: disk, table: table, converted: converted, list: volumes(disk, table)}, nil
}

// hashFile returns the SHA-256 of a file, in hexadecimal.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// workingCopy is the bare file system of a partition in a file of its own, where
// it can be changed. It is sparse: what the file system does not use is not
// copied.
type workingCopy struct {
	file *os.File
	fs   rootfs.Volume
}

func (w *workingCopy) close() { w.file.Close() }

// copyOut copies the file system of a volume to a file, and replays its journal
// if it was not unmounted.
func (c *conversion) copyOut(ctx context.Context, s *source, v *Volume, name string) (*workingCopy, error) {
	f, err := os.OpenFile(c.work.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &workingCopy{file: f}
	if err := c.fill(ctx, s, v, w); err != nil {
		f.Close()
		return nil, fmt.Errorf("partition %d: %w", v.Partition.Number, err)
	}
	return w, nil
}

func (c *conversion) fill(ctx context.Context, s *source, v *Volume, w *workingCopy) error {
	var ranges []qemu.Range
	var all int64
	for r, err := range v.FS.Used() {
		if err != nil {
			return err
		}
		ranges = append(ranges, qemu.Range{Offset: v.Offset + r.Offset, Length: r.Length})
		all += r.Length
	}
	if err := w.file.Truncate(v.FS.Size()); err != nil {
		return err
	}
	var copied atomic.Int64
	err := s.disk.ReadRanges(ctx, ranges, func(p []byte, offset int64) error {
		c.Events.Progress(copied.Add(int64(len(p))), all)
		if allZero(p) {
			return nil
		}
		_, err := w.file.WriteAt(p, offset-v.Offset)
		return err
	})
	if err != nil {
		return err
	}
	return w.settle(ctx, v)
}

// settle makes the copy a file system at rest, and opens it.
func (w *workingCopy) settle(ctx context.Context, v *Volume) error {
	if open, ok := v.FS.(interface{ NeedsRecovery() bool }); ok && open.NeedsRecovery() {
		if err := debugfs.Recover(ctx, w.file.Name(), 0); err != nil {
			return err
		}
	}
	return w.reopen()
}

// reopen reads the file system anew, after it has changed.
func (w *workingCopy) reopen() error {
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
