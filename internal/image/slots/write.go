package slots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// ErrChanged is a file that is not of the size that was announced.
var ErrChanged = errors.New("a file has another size than it had")

// Update is a slot that is being written. It holds nothing until Commit.
type Update struct {
	p      *Partition
	slot   string
	files  map[string]int64
	layout *ext4.Layout
	out    *writer
}

// Begin empties a slot that is not in use, for files of those sizes. The error wraps
// ErrInUse or ErrTooLarge, or is the device's.
func (p *Partition) Begin(ctx context.Context, slot string, files map[string]int64) (*Update, error) {
	if slot != A && slot != B {
		return nil, fmt.Errorf("%w: %q, want %s or %s", ErrSlot, slot, A, B)
	}
	if err := p.inUse(slot); err != nil {
		return nil, err
	}
	u := &Update{p: p, slot: slot, files: files}
	var err error
	if u.layout, err = p.plan(slot, files).layOut(); err != nil {
		return nil, err
	}
	if err := p.clear(slot); err != nil {
		return nil, err
	}
	u.out = newWriter(ctx, p.d)
	return u, nil
}

// Create returns where the contents of a file are written, all of them before Close.
// The error is ErrChanged if it is none of those that were announced.
func (u *Update) Create(name string, size int64) (io.WriteCloser, error) {
	if n, ok := u.files[name]; !ok || n != size {
		return nil, ErrChanged
	}
	return &file{out: u.out, at: u.layout.Places[path.Join(u.slot, name)].Contents, left: size}, nil
}

// Abort ends an update whose files came to an error. The slot stays empty.
func (u *Update) Abort(err error) error { return u.out.wait(err) }

// Commit makes the contents durable, and then the names.
func (u *Update) Commit() error {
	if err := u.out.wait(nil); err != nil {
		return err
	}
	if err := u.p.d.Sync(); err != nil {
		return fmt.Errorf("write slot %s: %w", u.slot, err)
	}
	return u.p.describe(u.slot, u.layout)
}

// Clear empties a slot that is not in use. The error wraps ErrInUse or is the device's.
func (p *Partition) Clear(slot string) error {
	if err := p.inUse(slot); err != nil {
		return err
	}
	return p.clear(slot)
}

// clear empties a slot unless it is empty.
func (p *Partition) clear(slot string) error {
	s, err := p.Slot(slot)
	if err == nil && s.Empty() || err != nil && !errors.Is(err, ErrSlot) {
		return err
	}
	return p.describe(slot, p.empty)
}

// describe writes a slot's inodes and directories, and makes them durable.
func (p *Partition) describe(slot string, l *ext4.Layout) error {
	for _, o := range own(p.empty, slot) {
		if _, err := p.d.WriteAt(bytes.Clone(o.of(l.Head)), o.at); err != nil {
			return fmt.Errorf("write slot %s: %w", slot, err)
		}
	}
	if err := p.d.Sync(); err != nil {
		return fmt.Errorf("write slot %s: %w", slot, err)
	}
	return nil
}

// Write fills a slot that is not in use with the regular files of a tree of one
// directory level, and makes it durable. Which slot is active does not change. A cut
// leaves that slot as it was, empty, damaged or written, and everything else as it was.
// The error wraps ErrInUse, ErrTooLarge or ErrChanged, or is one of reading or writing.
func (p *Partition) Write(slot string, tree fs.FS) error {
	files, err := sizes(tree)
	if err != nil {
		return err
	}
	u, err := p.Begin(context.Background(), slot, files)
	if err != nil {
		return err
	}
	for name, size := range files {
		if err := u.copy(tree, name, size); err != nil {
			return u.Abort(fmt.Errorf("write /%s/%s: %w", slot, name, err))
		}
	}
	return u.Commit()
}

func (u *Update) copy(tree fs.FS, name string, size int64) error {
	in, err := tree.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := u.Create(name, size)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// sizes lists the regular files of a tree.
func sizes(tree fs.FS) (map[string]int64, error) {
	files := map[string]int64{}
	err := fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", name)
		}
		files[name] = info.Size()
		return nil
	})
	return files, err
}
