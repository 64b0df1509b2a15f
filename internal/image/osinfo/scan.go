package osinfo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Scan reads all that it needs to know of an image. An image without a boot menu
// has no entries; that is no error here but in Choose.
func Scan(in Input) (*OS, error) {
	release, err := osRelease(in.Root)
	if err != nil {
		return nil, err
	}
	found := &OS{ID: release["ID"], Name: release["PRETTY_NAME"]}
	found.Entries, err = bootentry.Read(in.Root, in.Boot, in.ESP)
	if err != nil && !errors.Is(err, bootentry.ErrNoEntries) {
		return nil, err
	}
	in.addInitrds(found.Entries)
	if found.Kernels, err = kernels(in, found.Entries, found.ID); err != nil {
		return nil, err
	}
	if found.Findings, err = harden.Inspect(in.Root, in.Harden); err != nil {
		return nil, err
	}
	found.Findings = append(found.Findings, menuFindings(found.Entries)...)
	return found, nil
}

// menuFindings names what of the boot menu is not followed, once.
func menuFindings(entries []bootentry.Entry) (all []harden.Finding) {
	for _, e := range entries {
		for _, f := range harden.Menu(e.Source, e.Doubts) {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

// osRelease reads os-release(5). An image without one is of an unknown system.
func osRelease(root fs.FS) (map[string]string, error) {
	values := make(map[string]string)
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		content, err := readFile(root, name, 64<<10)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && !strings.HasPrefix(key, "#") {
				values[key] = printable(strings.Trim(value, `"'`))
			}
		}
		return values, nil
	}
	return values, nil
}

// printable makes text of an image fit for a terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s[:min(len(s), 256)])
}

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
	content, err := io.ReadAll(io.LimitReader(bufio.NewReader(f), limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %s", ErrMalformed, name, size.Text(limit))
	}
	return content, nil
}
