// Package harden knows what in an image would let the host in, or keep the image
// from booting, once its root is encrypted. Inspect finds it; Edits says which
// files the converter writes to mend what can be mended.
//
// The host types on the console, answers metadata services, offers disks and
// talks to guest agents: whatever listens there without a key is a finding.
// Nothing of the image is run, and all of it is hostile.
package harden

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// ErrMalformed is a file of an image that is not as it must be to be edited.
var ErrMalformed = errors.New("malformed system files")

// Limits on what is read.
const (
	maxFile    = 4 << 20 // bytes
	maxDirList = 4096    // entries
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Critical Severity = "critical" // the host gets in without a secret
	Warning  Severity = "warning"  // the host may get in, or sees more than it must
	Note     Severity = "note"     // good to know
)

// Finding is something about an image.
type Finding struct {
	Code     string   `json:"code"` // stable, for programs
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // without a leading slash; "" where it is no file
	Detail   string   `json:"detail"`
	Mended   bool     `json:"mended"` // the conversion takes care of it
}

// reader reads an image's files; the first error other than absence stays.
type reader struct {
	fsys fs.FS
	err  error
}

// text returns a file's content, "" where there is none or no regular file.
func (r *reader) text(name string) string {
	f, err := r.fsys.Open(name)
	if err != nil {
		r.note(name, err)
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%w: it has more than %s", ErrMalformed, size.Text(maxFile))
	}
	r.note(name, err)
	return string(content)
}

// note keeps an error. What is absent, and links that lead nowhere, are none.
func (r *reader) note(name string, err error) {
	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.ENOTDIR)
	if err != nil && r.err == nil && !absent {
		r.err = fmt.Errorf("read %s: %w", name, err)
	}
}

// list returns the names of a directory's files that end in suffix, sorted.
func (r *reader) list(dir, suffix string) (names []string) {
	entries, err := fs.ReadDir(r.fsys, dir)
	if err == nil && len(entries) > maxDirList {
		err = fmt.Errorf("%w: more than %d names", ErrMalformed, maxDirList) // the last ones may count most
	}
	r.note(dir, err)
	for _, e := range entries[:min(len(entries), maxDirList)] {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names
}

// exists says whether there is something of the name, also a link that leads
// nowhere.
func (r *reader) exists(name string) bool {
	_, err := fs.Lstat(r.fsys, name)
	return err == nil
}

// regular says whether there is a regular file of the name, and no link.
func (r *reader) regular(name string) bool {
	info, err := fs.Lstat(r.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// leadsNowhere says whether a name is a link to /dev/null.
func (r *reader) leadsNowhere(name string) bool {
	target, err := fs.ReadLink(r.fsys, name)
	return err == nil && target == "/dev/null"
}

// lines returns the lines of a file without comments and surrounding space.
func (r *reader) lines(name string) (all []string) {
	for line := range strings.Lines(r.text(name)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}
