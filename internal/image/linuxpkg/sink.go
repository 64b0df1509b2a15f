package linuxpkg

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

// Where distributions put a kernel and its configuration outside of its modules'
// directory.
const (
	bootKernel = "boot/vmlinuz-"
	bootConfig = "boot/config-"
)

// sink takes the files of packages and keeps those of kernels.
type sink struct {
	root     *os.Root
	releases []string
	files    int
	size     int64
	last     string // directory that was made
}

// put keeps a regular file if it belongs to a kernel.
func (s *sink) put(name string, content io.Reader) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	release := releaseOf(name)
	if release == "" {
		return nil
	}
	if s.files++; s.files > maxFiles {
		return fmt.Errorf("%w: more than %d files", ErrPackage, maxFiles)
	}
	if err := s.note(release); err != nil {
		return err
	}
	if dir := path.Dir(name); dir != s.last {
		if err := s.root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("%w: %w", ErrPackage, err)
		}
		s.last = dir
	}
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPackage, err)
	}
	defer f.Close()
	most := int64(maxFile)
	if isKernel(name) {
		most = maxKernel
	}
	n, err := io.Copy(f, io.LimitReader(blame{content}, most+1))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	s.size += n
	if n > most || s.size > maxSize {
		return fmt.Errorf("%w: %s is too large", ErrPackage, name)
	}
	return f.Close()
}

func (s *sink) note(release string) error {
	if slices.Contains(s.releases, release) {
		return nil
	}
	if len(s.releases) == maxReleases {
		return fmt.Errorf("%w: files of more than %d kernels", ErrPackage, maxReleases)
	}
	s.releases = append(s.releases, release)
	return nil
}

// other is told of what is neither a regular file nor a directory: links, devices. One
// that stands where a module is, or on the way to one, would show an installed system
// other files than are kept here.
func (s *sink) other(name string) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	if name == "lib" || name == kmod.Dir {
		return fmt.Errorf("%w: %s is not a directory", ErrPackage, name)
	}
	below, ok := strings.CutPrefix(name, kmod.Dir+"/")
	if !ok {
		return nil
	}
	release, rest, _ := strings.Cut(below, "/")
	if rest == "build" || rest == "source" || release == "" { // links to the kernel's source
		return nil
	}
	return fmt.Errorf("%w: %s is a link or a special file", ErrPackage, name)
}

// cleanName returns a name as it is below the root, without usr/. The error wraps
// ErrPackage for one that leads elsewhere.
func cleanName(name string) (string, error) {
	name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "."), "/"), "/")
	if name == "" {
		return ".", nil
	}
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("%w: file name %.100q", ErrPackage, name)
	}
	return strings.TrimPrefix(name, "usr/"), nil
}

// releaseOf returns the release of the kernel that a file is kept for; "" for all other
// files.
func releaseOf(name string) string {
	release := ""
	if below, ok := strings.CutPrefix(name, kmod.Dir+"/"); ok {
		release, _, ok = strings.Cut(below, "/")
		if !ok {
			return ""
		}
	} else if of, ok := strings.CutPrefix(name, bootKernel); ok {
		release = of
	} else if of, ok := strings.CutPrefix(name, bootConfig); ok {
		release = of
	}
	if !kmod.ValidRelease(release) {
		return ""
	}
	return release
}

func isKernel(name string) bool {
	return strings.HasPrefix(name, bootKernel) || path.Base(name) == "vmlinuz" && path.Dir(path.Dir(name)) == kmod.Dir
}
