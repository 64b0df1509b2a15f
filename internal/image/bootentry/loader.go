package bootentry

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/versions"
)

// readLoader reads the menu of systemd-boot: the entries and the unified kernel
// images of the EFI system partition and of an extended boot loader partition
// together, or those in /boot of the root.
func readLoader(root, boot, esp fs.FS) ([]Entry, error) {
	var places []place
	if esp != nil {
		places = append(places, place{esp, ".", true})
	}
	if boot != nil {
		places = append(places, place{boot, ".", false})
	}
	for _, group := range [][]place{places, {{root, "boot", false}}} {
		var list []*blsEntry
		for _, p := range group {
			more, err := p.readEntries()
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
		if len(list) > 0 {
			return finishLoader(list, group)
		}
	}
	if esp == nil {
		return nil, nil
	}
	// Firmware starts what is called so, where there is no boot loader.
	b, err := place{esp, ".", true}.readImage("EFI/BOOT/BOOTX64.EFI")
	if err != nil || b == nil {
		return nil, err
	}
	b.Default = true
	return []Entry{b.Entry}, nil
}

// hasLoader says whether systemd-boot would find something to boot on the EFI system
// partition.
func hasLoader(esp fs.FS) bool {
	if esp == nil {
		return false
	}
	list, err := place{esp, ".", true}.readEntries()
	return err != nil || len(list) > 0
}

// readEntries lists what systemd-boot finds in one place.
func (p place) readEntries() (list []*blsEntry, err error) {
	files, err := listBLS(p.fsys, path.Join(p.dir, "loader/entries"), nil)
	if err != nil {
		return nil, err
	}
	for _, b := range files {
		if b.architecture != "" && !strings.EqualFold(b.architecture, "x64") {
			continue
		}
		if b.image != "" && b.Kernel == "" {
			if b, err = p.entryOfImage(b); err != nil {
				return nil, err
			}
		}
		if b != nil && b.Kernel != "" {
			list = append(list, b)
		}
	}
	images, err := p.readImages()
	if err != nil {
		return nil, err
	}
	list = append(list, images...)
	for _, b := range list {
		b.ESP = p.esp
		b.count()
	}
	return list, nil
}

// count takes the counters of a name such as "debian+3-1.conf" off the ID: how many
// attempts are left, and how many have failed.
func (b *blsEntry) count() {
	base, counters, found := cutLast(b.ID, "+")
	if !found {
		return
	}
	left, done, more := strings.Cut(counters, "-")
	n, err := strconv.ParseUint(left, 10, 16)
	if err != nil {
		return
	}
	m := uint64(0)
	if more {
		if m, err = strconv.ParseUint(done, 10, 16); err != nil {
			return
		}
	}
	b.ID, b.counted, b.triesLeft, b.triesDone = base, true, int(n), int(m)
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	if at := strings.LastIndex(s, separator); at >= 0 {
		return s[:at], s[at+len(separator):], true
	}
	return s, "", false
}

// before orders entries as systemd-boot's menu does: those without an attempt left
// come last, those with a sort key first.
func (b *blsEntry) before(o *blsEntry) int {
	exhausted := func(b *blsEntry) int { return boolInt(b.counted && b.triesLeft == 0) }
	if c := cmp.Or(cmp.Compare(exhausted(b), exhausted(o)), cmp.Compare(boolInt(b.sortKey == ""), boolInt(o.sortKey == ""))); c != 0 {
		return c
	}
	if b.sortKey != "" {
		if c := cmp.Or(cmp.Compare(b.sortKey, o.sortKey), cmp.Compare(b.machineID, o.machineID), -versions.Compare(b.version, o.version)); c != 0 {
			return c
		}
	}
	return cmp.Or(-versions.Compare(b.ID, o.ID), -cmp.Compare(b.triesLeft, o.triesLeft), cmp.Compare(b.triesDone, o.triesDone))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// finishLoader sorts the menu and marks the default.
func finishLoader(list []*blsEntry, places []place) ([]Entry, error) {
	slices.SortStableFunc(list, (*blsEntry).before)
	wanted := ""
	for _, p := range places { // the EFI system partition comes first
		value, err := p.readDefault()
		if err != nil {
			return nil, err
		}
		if value != "" {
			wanted = value
			break
		}
	}
	chosen := max(0, slices.IndexFunc(list, func(b *blsEntry) bool { return b.named(wanted) }))
	entries := make([]Entry, 0, len(list))
	for n, b := range list {
		b.menu, b.Default = n, n == chosen
		if strings.HasPrefix(wanted, "@") {
			b.Doubts = append(b.Doubts, fmt.Sprintf("the default %.64q, which the firmware remembers", wanted))
		}
		entries = append(entries, b.Entry)
	}
	return entries, nil
}

// readDefault reads which entries loader.conf prefers: a pattern.
func (p place) readDefault() (wanted string, err error) {
	content, err := readFile(p.fsys, path.Join(p.dir, "loader/loader.conf"), maxEntryFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "default" {
			wanted = fields[1]
		}
	}
	if len(wanted) > maxVariable {
		return "", fmt.Errorf("%w: loader.conf: a default of more than %d bytes", ErrMalformed, maxVariable)
	}
	return wanted, nil
}

// named says whether a pattern means an entry, by its file's name without counters.
func (b *blsEntry) named(pattern string) bool {
	pattern = strings.ToLower(pattern)
	for _, id := range []string{b.ID + path.Ext(b.file), b.ID} {
		if ok, err := path.Match(pattern, strings.ToLower(id)); err == nil && ok {
			return true
		}
	}
	return false
}
