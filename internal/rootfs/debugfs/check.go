package debugfs

import (
	"context"
	"fmt"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/ext4"
)

// Exit codes of e2fsck.
const (
	fsckClean     = 0
	fsckCorrected = 1
)

// Check has e2fsck look at all of the file system at an offset of a file,
// without changing it. The error wraps rootfs.ErrCorrupt when anything is wrong.
func Check(ctx context.Context, image string, offset int64) error {
	w, err := newWorkspace(image)
	if err != nil {
		return err
	}
	defer w.remove()
	out, err := w.run(ctx, "e2fsck", "-f", "-n", device(offset))
	if err != nil {
		return err
	}
	if out.code != fsckClean {
		return fmt.Errorf("%w: e2fsck says: %s", rootfs.ErrCorrupt, brief(out.stdout+out.stderr))
	}
	return nil
}

// Recover replays the journal of a file system that was not unmounted, as a
// mount would. One that needs none is left alone.
func Recover(ctx context.Context, image string, offset int64) error {
	w, err := newWorkspace(image)
	if err != nil {
		return err
	}
	defer w.remove()
	needed, err := needsRecovery(image, offset)
	if err != nil || !needed {
		return err
	}
	out, err := w.run(ctx, "e2fsck", "-y", "-E", "journal_only", device(offset))
	if err != nil {
		return err
	}
	if needed, err := needsRecovery(image, offset); err != nil || needed || out.code > fsckCorrected {
		return fmt.Errorf("%w: replay journal: e2fsck says: %s", rootfs.ErrCorrupt, brief(out.stdout+out.stderr))
	}
	return nil
}

func needsRecovery(image string, offset int64) (bool, error) {
	file, volume, err := open(image, offset)
	if err != nil {
		return false, err
	}
	defer file.Close()
	return volume.NeedsRecovery(), nil
}

// open opens the file system for our own reader.
func open(image string, offset int64) (*os.File, *ext4.FS, error) {
	file, err := os.Open(image)
	if err != nil {
		return nil, nil, err
	}
	volume, err := openAt(file, offset)
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("open file system in %s: %w", image, err)
	}
	return file, volume, nil
}
