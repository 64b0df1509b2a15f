package bootentry

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/versions"
)

// readBLS reads the type #1 entries of loader/entries, newest first, as GRUB's
// blscfg sorts them. $variables in them, as Fedora's kernelopts, are those of
// grubenv.
func readBLS(fsys fs.FS, dir string, variables map[string]string) ([]menuItem, error) {
	list, err := listBLS(fsys, dir, variables)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b *blsEntry) int { return -versions.Compare(a.file, b.file) })
	var items []menuItem
	for _, b := range list {
		if b.Kernel != "" {
			items = append(items, menuItem{title: b.Title, id: b.ID, entry: &b.Entry})
		}
	}
	return items, nil
}

// blsEntry is an entry with what systemd-boot sorts by.
type blsEntry struct {
	Entry
	file                        string // name, with its suffix
	image                       string // unified kernel image that a type #1 entry names
	sortKey, machineID, version string
	architecture                string
	triesLeft, triesDone        int // of boot counting
	counted                     bool
}

// listBLS reads the files of loader/entries. Those without a kernel are among them.
func listBLS(fsys fs.FS, dir string, variables map[string]string) (list []*blsEntry, err error) {
	files, err := listFiles(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".conf")
		if !ok {
			continue
		}
		name := path.Join(dir, f.Name())
		content, err := readFile(fsys, name, maxEntryFile)
		if err != nil {
			return nil, err
		}
		b, err := parseBLS(string(content), variables)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		b.ID, b.Source, b.file = id, name, f.Name()
		list = append(list, b)
	}
	return list, nil
}

// parseBLS reads one entry: a key and a value a line; some keys may come again.
func parseBLS(content string, variables map[string]string) (*blsEntry, error) {
	e := &blsEntry{}
	expanded := 0 // bytes
	var options []string
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if tab := strings.IndexByte(key, '\t'); tab >= 0 {
			key, value = key[:tab], key[tab:]+" "+value
		}
		value = strings.TrimSpace(value)
		if key == "initrd" || key == "options" {
			value = expandBLS(value, variables, maxValue-expanded)
			if expanded += len(value); expanded >= maxValue {
				return nil, fmt.Errorf("%w: an entry of more than %d bytes", ErrMalformed, maxValue)
			}
		}
		switch key {
		case "title":
			e.Title = value
		case "linux":
			e.Kernel = bootPath(value)
		case "initrd":
			for _, file := range strings.Fields(value) {
				e.Initrds = append(e.Initrds, bootPath(file))
			}
		case "options":
			options = append(options, value)
		case "efi", "uki":
			e.image = value
		default:
			e.sortedBy(key, value)
		}
	}
	e.Options = strings.Join(options, " ")
	return e, nil
}

// sortedBy notes what only systemd-boot asks for.
func (b *blsEntry) sortedBy(key, value string) {
	switch key {
	case "sort-key":
		b.sortKey = value
	case "machine-id":
		b.machineID = value
	case "version":
		b.version = value
	case "architecture":
		b.architecture = value
	}
}

// expandBLS puts variables in place, once, and stops as soon as there are more
// bytes than wanted.
func expandBLS(value string, variables map[string]string, most int) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(value) {
		if name, ok := strings.CutPrefix(word, "$"); ok {
			word = variables[strings.Trim(name, "{}")]
		}
		if word == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if b.WriteString(word); b.Len() > most {
			break
		}
	}
	return b.String()
}
