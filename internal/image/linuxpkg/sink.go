package linuxpkg

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Where distributions put a kernel and its configuration outside of its modules'
// directory.
const (
	bootKernel = "boot/vmlinuz-"
	bootConfig = "boot/config-"
)

// sink takes the files of packages and keeps those of kernels.
type sink struct {
	spool    *spool
	releases []string
	files    int
	size     int64
	unpacked int64 // bytes, also of what is not kept
}

// bounded ends archives without end.
type bounded struct {
	r io.Reader
	s *sink
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.s.unpacked += int64(n); b.s.unpacked > maxUnpacked {
		return 0, fmt.Errorf("%w: it unpacks to more than %s", ErrPackage, size.Text(maxUnpacked))
	}
	return n, err
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
	most := int64(maxFile)
	if isKernel(name) {
		most = maxKernel
	}
	n, err := s.spool.add(name, content, most)
	if err != nil {
		return err
	}
	if s.size += n; s.size > maxSize {
		return fmt.Errorf("%w: %s is too large", ErrPackage, name)
	}
	return nil
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
	if len(name) > maxName || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
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
