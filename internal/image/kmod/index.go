package kmod

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Name returns a module's name from that of its file: without directory and
// suffixes, underscores for dashes. It is "" for a file that is no module.
func Name(file string) string {
	base := path.Base(file)
	for _, suffix := range []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} {
		if stem, ok := strings.CutSuffix(base, suffix); ok {
			return canonical(stem)
		}
	}
	return ""
}

func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// dependencies is what modules.dep says of a module.
type dependencies struct {
	file  string   // below lib/modules/RELEASE
	needs []string // names
}

// parseDep reads modules.dep(5): "FILE: FILE...", all relative to the tree.
func parseDep(content []byte) (map[string]dependencies, error) {
	all := make(map[string]dependencies)
	for line := range bytes.Lines(content) {
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		file, rest, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("%w: modules.dep: line %.100q", ErrMalformed, text)
		}
		d := dependencies{file: file}
		name, err := moduleFile(file)
		if err != nil {
			return nil, err
		}
		for _, need := range strings.Fields(rest) {
			n, err := moduleFile(need)
			if err != nil {
				return nil, err
			}
			d.needs = append(d.needs, n)
		}
		if _, twice := all[name]; !twice { // depmod lists what has priority first
			all[name] = d
		}
	}
	return all, nil
}

// moduleFile returns the name of the module in file, which must not lead out of
// the tree.
func moduleFile(file string) (string, error) {
	name := Name(file)
	if !fs.ValidPath(file) || !validName(name) {
		return "", fmt.Errorf("%w: modules.dep: file %.100q", ErrMalformed, file)
	}
	return name, nil
}

// validName takes what the kernel's build makes module names of.
func validName(name string) bool {
	for _, c := range name {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !ok {
			return false
		}
	}
	return name != "" && len(name) < 56 // MODULE_NAME_LEN
}

// parseBuiltin reads modules.builtin: a file name a line, of no file.
func parseBuiltin(content []byte) map[string]bool {
	names := make(map[string]bool)
	for line := range bytes.Lines(content) {
		if name := Name(strings.TrimSpace(string(line))); validName(name) {
			names[name] = true
		}
	}
	return names
}

// parseAlias reads modules.alias: "alias PATTERN NAME". Only patterns without
// wildcards are kept; they are what soft dependencies name.
func parseAlias(content []byte) map[string]string {
	names := make(map[string]string)
	for line := range bytes.Lines(content) {
		word := strings.Fields(string(line))
		if len(word) != 3 || word[0] != "alias" || strings.ContainsAny(word[1], "*?[") {
			continue
		}
		alias, name := canonical(word[1]), canonical(word[2])
		if _, twice := names[alias]; !twice && validName(name) {
			names[alias] = name
		}
	}
	return names
}

// readIndex reads a file of the tree. It is nil for one that is absent, and not for
// an empty one.
func readIndex(fsys fs.FS, file string) ([]byte, error) {
	f, err := fsys.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(bufio.NewReader(f), maxIndex+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(content) > maxIndex {
		return nil, fmt.Errorf("%w: %s: more than %s", ErrMalformed, file, size.Text(maxIndex))
	}
	return content, nil
}
