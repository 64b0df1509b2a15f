package e2fsprogs

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// Apply makes changes to the unmounted file system at an offset of a file, has
// e2fsck bring up to date what debugfs leaves stale, such as the sums of quotas,
// and reads back whether each change was made. The file system has to be sound
// before (Settle): e2fsck does not tell damage from what is stale. The error wraps rootfs.ErrFull when there is
// no room, rootfs.ErrChange when a change is impossible, rootfs.ErrCorrupt when
// the file system is damaged or its journal has to be replayed first (Recover).
func Apply(ctx context.Context, image string, offset int64, changes []rootfs.Change) error {
	return ApplyPrepared(ctx, image, offset, changes, func([]string) error { return nil })
}

// ApplyPrepared is Apply for an image that lacks the data of files. Before anything
// is changed, prepare is told the names of files, of any type, that the changes take
// away: their blocks may become other files'. Blocks of other files are neither read
// nor written. A name may have been given by an earlier change.
func ApplyPrepared(ctx context.Context, image string, offset int64, changes []rootfs.Change, prepare func(removed []string) error) error {
	w, err := newWorkspace(image)
	if err != nil {
		return err
	}
	defer w.remove()
	p, err := makePlan(w, image, offset, changes)
	if err != nil {
		return fmt.Errorf("plan changes: %w", err)
	}
	if err := prepare(p.removed); err != nil {
		return fmt.Errorf("prepare changes: %w", err)
	}
	if err := w.execute(ctx, p.script.String(), offset); err != nil {
		return fmt.Errorf("change file system: %w", err)
	}
	if problem, err := w.settle(ctx, offset); err != nil {
		return fmt.Errorf("settle changes: %w", err)
	} else if problem != "" {
		return fmt.Errorf("settle changes, which made of a sound file system one that e2fsck does not mend: it says: %s", problem)
	}
	file, volume, err := open(image, offset)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := p.verify(volume); err != nil {
		return fmt.Errorf("verify changes: %w", err)
	}
	return nil
}

// makePlan plans all changes; nothing is changed yet.
func makePlan(w *workspace, image string, offset int64, changes []rootfs.Change) (*plan, error) {
	file, volume, err := open(image, offset)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if volume.NeedsRecovery() {
		return nil, fmt.Errorf("%w: its journal has to be replayed first", rootfs.ErrCorrupt)
	}
	p := &plan{tree: newTree(volume), spool: &spool{workspace: w}, now: time.Now(), seen: map[*links]bool{}}
	for i := range changes {
		if err := p.add(changes[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// openAt opens the file system at an offset of an open file.
func openAt(file *os.File, offset int64) (*ext4.FS, error) {
	found, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > found.Size() {
		return nil, fmt.Errorf("offset %d lies outside the file", offset)
	}
	return ext4.Open(io.NewSectionReader(file, offset, math.MaxInt64-offset), found.Size()-offset)
}

// execute runs a script. debugfs goes on after errors and ends well, so that
// any word on stderr but its greeting is one.
func (w *workspace) execute(ctx context.Context, commands string, offset int64) error {
	const name = "commands"
	if err := os.WriteFile(w.path(name), []byte(commands), 0o600); err != nil {
		return err
	}
	out, err := w.run(ctx, "debugfs", "-w", "-f", name, device(offset))
	if err != nil {
		return err
	}
	greeting, words, _ := strings.Cut(out.stderr, "\n")
	if !strings.HasPrefix(greeting, "debugfs ") {
		words = out.stderr
	}
	switch {
	case strings.Contains(words, "Could not allocate"):
		first, _, _ := strings.Cut(words, "\n") // the rest follows from it
		return fmt.Errorf("%w: debugfs says: %s", rootfs.ErrFull, brief(first))
	case words != "" || out.code != 0:
		return fmt.Errorf("debugfs says: %s", brief(words))
	}
	return nil
}
