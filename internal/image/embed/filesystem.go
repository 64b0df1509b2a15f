package embed

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// lay lays the file system out, in which what is embedded and what is kept have
// their places.
func (e *embedding) lay(have int64) (*ext4.Layout, error) {
	uuid, err := gpt.NewGUID(rand.Reader)
	if err != nil {
		return nil, err
	}
	nodes := []ext4.Node{{Path: SlotA, Dir: true}, {Path: SlotB, Dir: true}, {Path: link, Target: e.slot}}
	nodes = append(nodes, slotNodes(e.slot, e.incoming.files)...)
	if e.kept != nil {
		nodes = append(nodes, slotNodes(e.kept.Name, e.kept.files)...)
	}
	layout, err := ext4.New(uuid, label, have, nodes)
	need := have
	if full := (*ext4.NoSpaceError)(nil); errors.As(err, &full) {
		need = alignUp(full.Need)
	}
	switch {
	case need > maxSize:
		return nil, fmt.Errorf("%w: a partition has at most %s", errTooLarge, size.Text(maxSize))
	case need > have:
		return nil, option.Errorf(optionSize, "%w: it has %s, %s are needed (%s %dM)", errTooLarge, size.Text(have), size.Text(need), optionSize, need>>20)
	}
	return layout, err
}

// slotNodes are the files of a slot, in order, and the directories that they need.
func slotNodes(slot string, files map[string]int64) []ext4.Node {
	var nodes []ext4.Node
	dirs := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if dir := path.Dir(name); !dirs[dir] {
			dirs[dir] = true
			nodes = append(nodes, ext4.Node{Path: path.Join(slot, dir), Dir: true})
		}
		nodes = append(nodes, ext4.Node{Path: path.Join(slot, name), Size: files[name]})
	}
	return nodes
}
