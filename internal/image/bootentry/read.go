package bootentry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Read lists what an image offers to boot, in the order of the menu, with one
// entry marked as the default: GRUB's menu where there is one, else that of
// systemd-boot. boot is the file system of a separate /boot and esp that of the EFI
// system partition; both may be nil. The error wraps ErrMalformed or ErrNoEntries.
func Read(root, boot, esp fs.FS) ([]Entry, error) {
	for _, p := range bootPlaces(root, boot, esp) {
		m, source, err := p.readGRUB()
		if err != nil {
			return nil, err
		}
		if m == nil || len(flatten(m.items)) == 0 {
			continue
		}
		if hasLoader(esp) {
			m.doubt("a menu of systemd-boot beside GRUB's, on the EFI system partition")
		}
		return finish(m, source)
	}
	entries, err := readLoader(root, boot, esp)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("%w: neither grub.cfg, loader/entries nor EFI/Linux boot Linux", ErrNoEntries)
	}
	return entries, err
}

func finish(m *menu, source string) ([]Entry, error) {
	all := flatten(m.items)
	chosen := findDefault(m.items, m.variables["default"])
	if other := follow(m.items, m.variables["default"]); other == nil && leadsElsewhere(m.items, m.variables["default"]) {
		m.doubt("a default that boots no Linux")
	}
	entries := make([]Entry, 0, len(all))
	for n, e := range all {
		e.menu, e.Default, e.Doubts = n, e == chosen, slices.Concat(m.doubts, e.Doubts)
		if e.Source == "" {
			e.Source = source
		}
		entries = append(entries, *e)
	}
	return entries, nil
}

// place is where a boot loader may have its files.
type place struct {
	fsys fs.FS
	dir  string
	esp  bool
}

func bootPlaces(root, boot, esp fs.FS) []place {
	var places []place
	if boot != nil {
		places = append(places, place{boot, ".", false})
	}
	places = append(places, place{root, "boot", false})
	if esp == nil {
		return places
	}
	vendors, err := fs.ReadDir(esp, "EFI")
	if err != nil {
		vendors = nil // an ESP need not have it
	}
	for _, v := range vendors[:min(len(vendors), 32)] {
		places = append(places, place{esp, path.Join("EFI", v.Name()), true})
	}
	return append(places, place{esp, ".", true})
}

// readGRUB runs the grub.cfg of a place. It returns nil where there is none.
func (p place) readGRUB() (*menu, string, error) {
	for _, dir := range []string{"grub", "grub2", "."} {
		file := path.Join(p.dir, dir, "grub.cfg")
		script, err := readFile(p.fsys, file, maxMenuFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		env, err := readFile(p.fsys, path.Join(p.dir, dir, "grubenv"), maxEntryFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
		m, err := runGRUB(string(script), parseGrubenv(env))
		if err != nil {
			return nil, "", fmt.Errorf("read %s: %w", file, err)
		}
		p.doubtSourced(m, path.Join(p.dir, dir))
		if m.bls {
			items, err := readBLS(p.fsys, path.Join(p.dir, "loader/entries"), m.variables)
			if err != nil {
				return nil, "", err
			}
			m.items = append(items, m.items...)
		}
		return m, file, nil
	}
	return nil, "", nil
}

// listFiles lists a directory of entries, which need not be there.
func listFiles(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	files, err := fs.ReadDir(fsys, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list %s: %w", dir, err)
	case len(files) > maxEntries:
		return nil, fmt.Errorf("%w: %s has more than %d files", ErrMalformed, dir, maxEntries)
	}
	return files, nil
}

// readFile reads a regular file within a bound, in bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrMalformed, name)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %s", ErrMalformed, name, size.Text(limit))
	}
	if strings.IndexByte(string(content), 0) >= 0 {
		return nil, fmt.Errorf("%w: %s is not text", ErrMalformed, name)
	}
	return content, nil
}
