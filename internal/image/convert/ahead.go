package convert

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// ahead is the new disk and the writing of its root, which begins before the root is
// ready: the data of files that is lent does not wait for the choice of a kernel and
// for the changes. What those touch after all is written again.
type ahead struct {
	keys   *keys
	layout *layout
	disk   *target
	cipher *xts.Cipher
	source *qemu.Disk // of its own, so that nobody who asks for a block waits for megabytes

	used, lent []rootfs.Range // as it began
	early      []rootfs.Range // what it writes, of whole clusters

	cancel context.CancelFunc
	ended  chan struct{}
	err    error // when it has ended
}

// begin makes keys and an empty disk, and begins to write what is lent.
func (c *conversion) begin(ctx context.Context, s *source, root *workingCopy) (*ahead, error) {
	a := &ahead{ended: make(chan struct{})}
	ctx, a.cancel = context.WithCancel(ctx)
	if err := c.prepare(ctx, a, s, root); err != nil {
		close(a.ended)
		a.close()
		return nil, err
	}
	a.early = covered(a.used, a.lent)
	p := a.payload(root, s.root.Offset)
	go func() {
		defer close(a.ended)
		a.err = p.encrypt(ctx, a.early)
	}()
	return a, nil
}

// prepare opens and makes all that writing takes.
func (c *conversion) prepare(ctx context.Context, a *ahead, s *source, root *workingCopy) (err error) {
	if a.layout, err = newLayout(s.table, s.root.Partition.Number, sizes{s.disk.Size(), c.size, c.artifacts}); err != nil {
		return option.Wrap("size", err)
	}
	if a.layout.sectorSize, err = sectorFor(root); err != nil {
		return err
	}
	if a.keys, err = newKeys(c.Service.IngestionKey); err != nil {
		return err
	}
	if a.cipher, err = xts.New(a.keys.vmk, a.layout.sectorSize); err != nil {
		return err
	}
	if a.source, err = qemu.Open(ctx, s.image); err != nil {
		return err
	}
	a.lent = root.lent
	// A file system that contradicts itself is refused later, with better words.
	if a.used, err = c.toEncrypt(root.fs, a.size()); err != nil {
		a.lent = nil
	}
	a.disk, err = c.createTarget(a.layout.size)
	return err
}

// size is that of the payload, in whole sectors of the encryption.
func (a *ahead) size() int64 {
	size := a.layout.table.Size(a.layout.root) - luks2.PayloadOffset
	return size - size%int64(a.layout.sectorSize)
}

// payload encrypts a root as it is now. The file system begins at an offset of the
// source.
func (a *ahead) payload(root *workingCopy, offset int64) *payload {
	source := &overlay{working: root.file, source: io.NewSectionReader(a.source, offset, a.source.Size()-offset), lent: root.lent}
	return &payload{
		cipher: a.cipher, source: source, target: a.disk, offset: a.layout.table.Offset(a.layout.root) + luks2.PayloadOffset, size: a.size(),
	}
}

// finish writes what is left of the root.
func (c *conversion) finish(ctx context.Context, s *source, a *ahead, root *workingCopy) error {
	<-a.ended
	if a.err != nil {
		return a.err
	}
	used, err := c.toEncrypt(root.fs, a.size())
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	if err := a.forget(used); err != nil {
		return err
	}
	all, rest := total(used), a.rest(used, root.lent)
	c.record.Disk.Used = all
	var done atomic.Int64
	done.Store(all - total(rest))
	p := a.payload(root, s.root.Offset)
	p.done = func(n int64) { c.Events.Progress(done.Add(n), all) }
	return p.encrypt(ctx, rest)
}

// rest returns what of a root, now that it is ready, is to be written: the clusters that
// were not, and those in which anything is used or lent that was not, or no more.
func (a *ahead) rest(used, lent []rootfs.Range) (rest []rootfs.Range) {
	changed := append(without(a.used, used), without(used, a.used)...)
	changed = inOrder(append(changed, without(a.lent, lent)...))
	pieces(used, clusterSize, func(cluster int64, parts []rootfs.Range) bool {
		within := rootfs.Range{Offset: cluster * clusterSize, Length: clusterSize}
		if common(a.early, within) == 0 || common(changed, within) > 0 {
			rest = append(rest, parts...)
		}
		return true
	})
	return rest
}

// forget writes zeros over clusters that were written and are not used any more: what
// the changes removed does not stay on the disk, encrypted or not.
func (a *ahead) forget(used []rootfs.Range) (err error) {
	start := a.layout.table.Offset(a.layout.root) + luks2.PayloadOffset
	zeros := make([]byte, clusterSize)
	pieces(without(a.early, used), clusterSize, func(cluster int64, _ []rootfs.Range) bool {
		at := cluster * clusterSize
		within := rootfs.Range{Offset: at, Length: min(clusterSize, a.size()-at)}
		if common(used, within) == 0 { // else it is written again as a whole
			_, err = a.disk.WriteAt(zeros[:within.Length], start+at)
		}
		return err == nil
	})
	return err
}

// covered returns what of the ranges lies in clusters in which all of them is lent.
func covered(ranges, lent []rootfs.Range) (early []rootfs.Range) {
	pieces(ranges, clusterSize, func(_ int64, parts []rootfs.Range) bool {
		var there int64
		for _, r := range parts {
			there += common(lent, r)
		}
		if there == total(parts) {
			early = append(early, parts...)
		}
		return true
	})
	return near(early, 1)
}

// whole ends a disk that is.
func (a *ahead) whole() error {
	disk := a.disk
	a.disk = nil
	return disk.Close()
}

// close ends the writing, and forgets the keys.
func (a *ahead) close() {
	a.cancel()
	<-a.ended
	if a.cipher != nil {
		a.cipher.Wipe()
	}
	if a.keys != nil {
		a.keys.wipe()
	}
	if a.disk != nil {
		a.disk.abandon()
	}
	if a.source != nil {
		a.source.Close() //nolint:errcheck // it was only read
	}
}
