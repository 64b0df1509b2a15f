package instance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/reencrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/superblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// stuckAfter is how long the re-encryption may go without completing a chunk of 1 MiB.
const stuckAfter = time.Minute

// errNoFilesystem is what a journal that was put back looks like, among others.
var errNoFilesystem = errors.New("the disk does not show the measured file system where the journal says that it is; nothing was changed")

// reencrypt goes on where the journal says, to the end. It never falls back to all of
// the payload when it does not find what it should.
func (f *First) reencrypt(ctx context.Context) error {
	work, err := f.volume.Resume(f.Grant.Golden, f.key)
	if err != nil {
		return err
	}
	defer work.Close()
	r := f.Config.Root
	if err := superblock.Check(work, r.Filesystem, r.FilesystemUUID); err != nil {
		return fmt.Errorf("%w: %w", errNoFilesystem, err)
	}
	if work.Done() {
		return nil
	}
	extents, err := f.extents(work)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoFilesystem, err)
	}
	alive, resume := f.Pause(stuckAfter)
	defer resume()
	return work.Run(ctx, extents, f.progress(alive))
}

// progress says how far it is, each tenth.
func (f *First) progress(alive func()) func(done, all int64) {
	tenth := int64(0)
	return func(done, all int64) {
		alive()
		if now := done * 10 / all; now > tenth {
			tenth = now
			f.Log("%d of %d MiB are under the instance's own key", done>>20, all>>20)
		}
	}
}

// extents returns what is re-encrypted: what an ext4 uses, if it was unmounted cleanly;
// else, and where the conversion encrypted free space too, all up to the end of the file
// system. What a grown partition has behind that is nobody's yet.
func (f *First) extents(payload io.ReaderAt) ([]reencrypt.Extent, error) {
	r, sector := f.Config.Root, int64(f.volume.SectorSize)
	end, err := superblock.Size(payload, r.Filesystem, f.volume.PayloadSize)
	if err != nil {
		return nil, err
	}
	whole := []reencrypt.Extent{{Length: min((end+sector-1)/sector*sector, f.volume.PayloadSize)}}
	if r.Filesystem != "ext4" || f.Config.EncryptFreeSpace {
		return whole, nil
	}
	clean, err := superblock.Clean(payload)
	if err != nil {
		return nil, err
	}
	if !clean {
		return whole, nil
	}
	volume, err := ext4.Open(payload, f.volume.PayloadSize)
	if err != nil {
		return nil, err
	}
	var used []reencrypt.Extent
	for r, err := range volume.Used() {
		if err != nil {
			return nil, err
		}
		used = append(used, reencrypt.Extent{Offset: r.Offset, Length: r.Length})
	}
	return used, nil
}

// writeHeaders writes both LUKS2 headers anew, so that cryptsetup knows the new key: one
// after the other, since a cut may tear what is being written. Their UUID is the
// instance's; what the old ones say is the host's.
func (f *First) writeHeaders(context.Context) error {
	headers, err := luks2.Encode(f.Grant.Instance, f.key, f.volume.SectorSize, rand.Reader)
	if err != nil {
		return err
	}
	for at := 0; at < luks2.Size; at += luks2.CopySize {
		if err := f.write(int64(at), headers[at:at+luks2.CopySize]); err != nil {
			return err
		}
	}
	return nil
}

// raise writes the first generation, or the one above what an earlier boot left.
func (f *First) raise(context.Context) error {
	newest, place := f.Shown.newest(f.key, f.Config.ImageID, f.Grant.Instance)
	f.generation = newest + 1
	return f.writeGeneration(f.key, f.generation, place)
}

// ready tells the service that all of the disk is under the volume key, and durable.
func (f *First) ready(ctx context.Context) error {
	request := wire.ReadyRequest{Sealed: f.volume.Sealed[:], Generation: f.generation, Recovery: f.recovery}
	var answer wire.InstanceAnswer
	if _, err := f.Call(ctx, wire.CallReady, &request, &answer); err != nil {
		return err
	}
	return f.check(answer, f.generation)
}
