package bootentry

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
)

// readImages reads the type #2 entries: the unified kernel images of EFI/Linux.
func (p place) readImages() (list []*blsEntry, err error) {
	dir := path.Join(p.dir, "EFI/Linux")
	files, err := listFiles(p.fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(strings.ToLower(f.Name()), ".efi") || f.IsDir() {
			continue
		}
		b, err := p.readImage(path.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		if b != nil {
			list = append(list, b)
		}
	}
	return list, nil
}

// entryOfImage completes a type #1 entry that names an image. Its options come in
// place of the image's.
func (p place) entryOfImage(b *blsEntry) (*blsEntry, error) {
	found, err := p.readImage(strings.TrimPrefix(path.Join(p.dir, path.Clean("/"+b.image)), "/"))
	if err != nil || found == nil {
		return nil, err
	}
	b.Kernel, b.Initrds, b.Doubts = found.Kernel, found.Initrds, found.Doubts
	if b.Options == "" {
		b.Options = found.Options
	}
	b.Title = cmp.Or(b.Title, found.Title)
	return b, nil
}

// readImage reads one image. It is nil for a file that is none, or is not there.
func (p place) readImage(name string) (*blsEntry, error) {
	image, err := uki.Open(p.fsys, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, uki.ErrNot) {
		return nil, nil
	}
	if err != nil {
		return nil, malformedImage(name, err)
	}
	defer image.Close() //nolint:errcheck // it was only read
	if !image.Has(uki.Linux) {
		return nil, nil
	}
	b, err := p.describe(image, name)
	if err != nil {
		return nil, malformedImage(name, err)
	}
	return b, nil
}

func malformedImage(name string, err error) error {
	if errors.Is(err, uki.ErrMalformed) {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
	}
	return fmt.Errorf("read %s: %w", name, err)
}

// describe makes the entry of an image with its addons: those for every image, then
// those of this one.
func (p place) describe(image *uki.Image, name string) (*blsEntry, error) {
	release, err := image.Text(uki.Release)
	if err != nil {
		return nil, err
	}
	uname, err := image.Text(uki.Uname)
	if err != nil {
		return nil, err
	}
	b := &blsEntry{file: path.Base(name)}
	b.ID = strings.TrimSuffix(b.file, path.Ext(b.file))
	b.Source, b.ESP = name, p.esp
	b.nameBy(release)
	if b.Options, err = image.CommandLine(); err != nil {
		return nil, err
	}
	var addons []uki.Addon
	extra := p.extraDir(b, name)
	for _, dir := range []string{path.Join(p.dir, "loader/addons"), extra} {
		more, err := uki.Addons(p.fsys, dir, uname)
		if err != nil {
			return nil, err
		}
		addons = append(addons, more...)
	}
	p.load(b, image, name, addons)
	if image.Profiles > 0 {
		b.Doubts = append(b.Doubts, fmt.Sprintf("%d more profiles in %.64q", image.Profiles, b.file))
	}
	for _, dir := range []string{path.Join(p.dir, "loader/credentials"), extra} {
		if p.hasCompanions(dir) {
			b.Doubts = append(b.Doubts, fmt.Sprintf("credentials or extensions for the system in %.64q", "/"+dir))
		}
	}
	return b, nil
}

// extraDir is where the addons of an image lie: beside it, by its name without
// counters.
func (p place) extraDir(b *blsEntry, name string) string {
	plain := *b
	plain.count()
	dir := path.Join(path.Dir(name), plain.ID+path.Ext(b.file)+".extra.d")
	if _, err := fs.Stat(p.fsys, dir); err != nil {
		return name + ".extra.d"
	}
	return dir
}

// load names kernel and initrds, in the order in which the stub hands them over:
// microcode first, the last addon's before the others.
func (p place) load(b *blsEntry, image *uki.Image, name string, addons []uki.Addon) {
	at := func(file, section string) string {
		return "/" + strings.TrimPrefix(uki.Path(file, section), p.dir+"/")
	}
	b.Kernel = at(name, uki.Linux)
	for _, a := range slices.Backward(addons) {
		if a.Microcode {
			b.Initrds = append(b.Initrds, at(a.File, uki.Microcode))
		}
	}
	for _, section := range []string{uki.Microcode, uki.Initrd} {
		if image.Has(section) {
			b.Initrds = append(b.Initrds, at(name, section))
		}
	}
	for _, a := range addons {
		if a.Initrd {
			b.Initrds = append(b.Initrds, at(a.File, uki.Initrd))
		}
		b.Options = strings.TrimSpace(b.Options + " " + a.Cmdline)
	}
}

// nameBy takes title, version and sort key from an image's os-release(5), as
// systemd-boot does.
func (b *blsEntry) nameBy(release string) {
	values := make(map[string]string)
	for line := range strings.Lines(release) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	b.Title = cmp.Or(values["PRETTY_NAME"], values["NAME"], values["ID"], b.ID)
	b.version = cmp.Or(values["IMAGE_VERSION"], values["VERSION"], values["VERSION_ID"], values["BUILD_ID"])
	b.sortKey = cmp.Or(values["IMAGE_ID"], values["ID"])
}

// hasCompanions says whether a directory has files that the stub would hand to the
// system beside the initrd.
func (p place) hasCompanions(dir string) bool {
	files, err := fs.ReadDir(p.fsys, dir)
	return err == nil && slices.ContainsFunc(files, func(f fs.DirEntry) bool {
		return slices.Contains([]string{".cred", ".raw"}, strings.ToLower(path.Ext(f.Name())))
	})
}
