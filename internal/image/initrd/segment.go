package initrd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Segment is what goes into the agent's archive.
type Segment struct {
	Agent   []byte        // the program
	Config  []byte        // config.json, as bootconf encodes it
	Modules []kmod.Module // in load order
}

// ModuleFiles returns the names that the modules have below bootconf.DirModules:
// "000-dm_mod.ko", "001-dm_crypt.ko". Sorted they are in load order.
func ModuleFiles(modules []kmod.Module) []string {
	names := make([]string, 0, len(modules))
	for i, m := range modules {
		names = append(names, fmt.Sprintf("%03d-%s.ko", i, m.Name))
	}
	return names
}

// item is an entry of the archive.
type item struct {
	name    string // without a leading slash
	mode    uint32
	content []byte
}

// items returns the segment's files, more of them, and the directories they need,
// sorted by name, so that a directory comes before what is in it.
func (s Segment) items(more ...item) ([]item, error) {
	if len(s.Agent) == 0 || len(s.Config) == 0 || len(s.Config) > bootconf.MaxSize {
		return nil, fmt.Errorf("%w: agent of %d bytes, configuration of %d", ErrMalformed, len(s.Agent), len(s.Config))
	}
	files := append(slices.Clone(more),
		item{bootconf.PathAgent, cpio.ModeRegular | 0o755, s.Agent},
		item{bootconf.PathConfig, cpio.ModeRegular | 0o644, s.Config})
	for i, name := range ModuleFiles(s.Modules) {
		if path.Base(name) != name {
			return nil, fmt.Errorf("%w: module %.100q", ErrMalformed, name)
		}
		files = append(files, item{path.Join(bootconf.DirModules, name), cpio.ModeRegular | 0o644, s.Modules[i].Data})
	}
	all := []item{{bootconf.DirModules, cpio.ModeDir | 0o755, nil}}
	for _, f := range files {
		all = append(all, f)
		for dir := path.Dir(f.name); dir != "/"; dir = path.Dir(dir) {
			all = append(all, item{dir, cpio.ModeDir | 0o755, nil})
		}
	}
	for i := range all {
		all[i].name = strings.TrimPrefix(all[i].name, "/")
	}
	byName := func(a, b item) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(all, byName)
	return slices.CompactFunc(all, func(a, b item) bool { return a.name == b.name }), nil
}

// Write writes an initrd that holds the segment alone, compressed as the guest's
// kernel can read it (one of Compressions). The output depends on nothing but the
// arguments.
func Write(w io.Writer, s Segment, how decompress.Format) error { return s.write(w, how) }

// write writes the archive: root owns everything, and all times are 0.
func (s Segment) write(w io.Writer, how decompress.Format, more ...item) error {
	items, err := s.items(more...)
	if err != nil {
		return err
	}
	compressor, err := newCompressor(w, how)
	if err != nil {
		return err
	}
	archive := cpio.NewWriter(compressor)
	for _, i := range items {
		if err := archive.Add(cpio.Header{Name: i.name, Mode: i.mode}, i.content); err != nil {
			return fmt.Errorf("write initrd: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), compressor.Close()); err != nil {
		return fmt.Errorf("write initrd: %w", err)
	}
	return nil
}
