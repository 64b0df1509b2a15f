package e2fsprogs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// Exit codes of e2fsck.
const (
	fsckClean     = 0
	fsckCorrected = 1
)

// fsckTime bounds a run of e2fsck: an image can be made to keep it busy.
const fsckTime = time.Hour

var errFsckTime = errors.New("it takes more than an hour")

func (w *workspace) fsck(ctx context.Context, offset int64, args ...string) (*output, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fsckTime, errFsckTime)
	defer cancel()
	return w.run(ctx, "e2fsck", append(args, device(offset))...)
}

// Check has e2fsck look at all of the file system at an offset of a file,
// without changing it. The error wraps rootfs.ErrCorrupt when anything is wrong.
func Check(ctx context.Context, image string, offset int64) error {
	w, err := newWorkspace(image)
	if err != nil {
		return err
	}
	defer w.remove()
	out, err := w.fsck(ctx, offset, "-f", "-n")
	if err != nil {
		return err
	}
	if out.code != fsckClean {
		return fmt.Errorf("%w: e2fsck says: %s", rootfs.ErrCorrupt, brief(out.stdout+out.stderr))
	}
	return nil
}

// settle has e2fsck mend what it can without a question, as at a boot, where
// anything is to be mended at all: it takes the chance to tidy up further. It says
// what is wrong after that; "" for nothing.
func (w *workspace) settle(ctx context.Context, offset int64) (problem string, err error) {
	for _, args := range [][]string{{"-f", "-n"}, {"-f", "-p"}, {"-f", "-n"}} {
		out, err := w.fsck(ctx, offset, args...)
		if err != nil || out.code == fsckClean {
			return "", err
		}
		problem = brief(out.stdout + out.stderr)
		if args[1] == "-p" && out.code != fsckCorrected {
			break
		}
	}
	return problem, nil
}

// Settle mends what e2fsck mends without a question, as at a boot: sums of quotas
// that mke2fs has left stale, files that were deleted while they were open. A
// sound file system is left alone. The error wraps rootfs.ErrCorrupt when more is
// wrong.
func Settle(ctx context.Context, image string, offset int64) error {
	w, err := newWorkspace(image)
	if err != nil {
		return err
	}
	defer w.remove()
	problem, err := w.settle(ctx, offset)
	if problem != "" {
		err = fmt.Errorf("%w: e2fsck says: %s", rootfs.ErrCorrupt, problem)
	}
	return err
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
	out, err := w.fsck(ctx, offset, "-y", "-E", "journal_only")
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
