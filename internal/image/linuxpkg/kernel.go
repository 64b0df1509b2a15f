package linuxpkg

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

// ErrKernel is a set of packages that is not of one kernel.
var ErrKernel = errors.New("not the packages of one kernel")

// Kernel returns the release of the one kernel that the packages are of, and where the
// kernel lies in FS. The error wraps ErrKernel.
func (s *Set) Kernel() (release, file string, err error) {
	if len(s.Releases) != 1 {
		return "", "", fmt.Errorf("%w: they have files of %s", ErrKernel, strings.Join(s.Releases, " and "))
	}
	release = s.Releases[0]
	for _, name := range []string{bootKernel + release, path.Join(kmod.Dir, release, "vmlinuz")} {
		if info, statErr := fs.Stat(s.FS, name); statErr != nil || !info.Mode().IsRegular() {
			continue
		}
		if file != "" {
			return "", "", fmt.Errorf("%w: %s and %s are both there", ErrKernel, file, name)
		}
		file = name
	}
	if file == "" {
		return "", "", fmt.Errorf("%w: none has the kernel %s; give its package as well", ErrKernel, release)
	}
	return release, file, nil
}

// HasModules says whether the packages have files of a kernel's modules.
func (s *Set) HasModules() bool {
	info, err := fs.Stat(s.FS, kmod.Dir)
	return err == nil && info.IsDir()
}
