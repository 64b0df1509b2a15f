package slots

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Sizes of partitions, in bytes.
const (
	DefaultSize = 512 << 20
	MinSize     = 8 << 20
	MaxSize     = 16 << 30
)

// What a slot has, however little of it a bundle needs. A release of 256 variants has
// fewer than 800 files.
const (
	maxFiles  = 1024
	dirRoom   = 16 << 10 // bytes of the slot's directory
	subRoom   = 64 << 10 // of the one directory in it
	spareRoom = 16 << 10 // of the directory of spare files

	slotDirs   = 3
	blockSize  = 4096
	spareDir   = "spare"
	spareSub   = "directory" // in spareDir, where a bundle has no directory
	linkActive = "artifacts"
	linkTrial  = "trial"
)

// plan is a file system that is laid out: the names in its slots, and what the links
// say.
type plan struct {
	uuid  [16]byte
	size  int64
	front int64 // bytes before the data, the same whatever is in the slots; 0 for not known yet
	state State
	files map[string]map[string]int64 // sizes by slot and name; nothing for an empty slot
}

// layOut lays the plan out. The error wraps ErrTooLarge or ErrLayout.
func (p *plan) layOut() (*ext4.Layout, error) {
	if p.size < MinSize || p.size > MaxSize || p.size%blockSize != 0 {
		return nil, fmt.Errorf("%w: a partition of %d bytes, want %s to %s in blocks of %d", ErrLayout, p.size, size.Text(MinSize), size.Text(MaxSize), blockSize)
	}
	if p.front == 0 {
		empty := *p
		empty.files = nil
		bare, err := empty.layOutWith(0)
		if err != nil {
			return nil, err
		}
		p.front = int64(len(bare.Head))
	}
	l, err := p.layOutWith((p.size - p.front) / 2 / blockSize * blockSize)
	if err == nil && int64(len(l.Head)) != p.front {
		err = fmt.Errorf("%w: its names need more than %s", ErrTooLarge, size.Text(dirRoom+subRoom))
	}
	return l, err
}

// layOutWith lays the plan out with so many bytes of data in each slot.
func (p *plan) layOutWith(room int64) (*ext4.Layout, error) {
	// The links are inodes 13 and 14, which share a sector.
	nodes := []ext4.Node{{Path: spareDir, Dir: true}, {Path: linkActive, Target: p.state.Active}, {Path: linkTrial, Target: p.state.trial()}}
	for _, slot := range []string{A, B} {
		own, err := slotNodes(slot, p.files[slot], room)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, own...)
	}
	l, err := ext4.New(p.uuid, Label, p.size, nodes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return l, nil
}

// slotNodes are a slot's: always as many, in the same order, with room bytes of data.
func slotNodes(slot string, files map[string]int64, room int64) ([]ext4.Node, error) {
	names := slices.Sorted(maps.Keys(files))
	spare := path.Join(spareDir, slot)
	sub, err := subdirectory(names)
	if err != nil {
		return nil, err
	}
	at := path.Join(spare, spareSub)
	if sub != "" {
		at = path.Join(slot, sub)
	}
	nodes := []ext4.Node{{Path: slot, Dir: true, Size: dirRoom}, {Path: spare, Dir: true, Size: spareRoom}, {Path: at, Dir: true, Size: subRoom}}
	left := room
	for _, name := range names {
		n := files[name]
		if n < 0 || n > ext4.MaxFile {
			return nil, fmt.Errorf("%w: %s has %d bytes, at most %d fit", ErrTooLarge, name, n, ext4.MaxFile)
		}
		left -= (n + blockSize - 1) / blockSize * blockSize
		nodes = append(nodes, ext4.Node{Path: path.Join(slot, name), Size: n})
	}
	if left < 0 {
		return nil, fmt.Errorf("%w: it has %s, %s are needed", ErrTooLarge, size.Text(room), size.Text(room-left))
	}
	for i := len(names); i < maxFiles; i++ {
		n := min(left, ext4.MaxSpare)
		left -= n
		nodes = append(nodes, ext4.Node{Path: path.Join(spare, strconv.Itoa(i)), Size: n, Spare: true})
	}
	if left > 0 {
		return nil, fmt.Errorf("%w: %d files leave over more than their spare ones can own", ErrTooLarge, len(names))
	}
	return nodes, nil
}

// subdirectory returns the one directory that names have, if any.
func subdirectory(names []string) (sub string, err error) {
	if len(names) > maxFiles {
		return "", fmt.Errorf("%w: %d files, at most %d fit", ErrTooLarge, len(names), maxFiles)
	}
	for _, name := range names {
		dir := path.Dir(name)
		switch {
		case !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0) || strings.Contains(dir, "/"):
			return "", fmt.Errorf("%w: it has no place for the name %.100q", ErrTooLarge, name)
		case dir == ".":
		case sub == "":
			sub = dir
		case sub != dir:
			return "", fmt.Errorf("%w: directories %.100q and %.100q, one fits", ErrTooLarge, sub, dir)
		}
	}
	if slices.Contains(names, sub) {
		return "", fmt.Errorf("%w: %.100q is a file and a directory", ErrTooLarge, sub)
	}
	return sub, nil
}

// span is a piece of a partition, in bytes.
type span struct{ at, length int64 }

func (s span) of(b []byte) []byte { return b[s.at:][:s.length] }

// own are the pieces of the head that belong to a slot: its inodes and its directories.
func own(l *ext4.Layout, slot string) []span {
	first := l.Places[slot]
	return []span{
		{first.Inode, (slotDirs + maxFiles) * ext4.InodeSize},
		{first.Contents, dirRoom + spareRoom + subRoom},
	}
}

// links is the sector with both links.
func links(l *ext4.Layout) span { return span{l.Places[linkActive].Inode, ext4.SectorSize} }

// Make returns the first bytes of an empty partition of size bytes; the rest reads as
// zeros. Slot A is active. The error wraps ErrLayout.
func Make(uuid [16]byte, size int64) ([]byte, error) {
	l, err := (&plan{uuid: uuid, size: size, state: State{Active: A}}).layOut()
	if err != nil {
		return nil, err
	}
	return l.Head, nil
}
