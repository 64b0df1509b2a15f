package update

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/versions"
)

// Bounds of what is looked at.
const (
	maxKernelSize = 128 << 20 // bytes
	maxEntries    = 4096      // of a directory
)

// Where kernels and their modules are. A distribution has one or the other place.
const (
	dirBoot    = "boot"
	dirModules = "usr/lib/modules"
	prefix     = "vmlinuz-"
)

// place is a file that may be a kernel.
type place struct{ release, file string }

// Kernels returns the kernels that are installed under root, the newest
// wire.MaxKernels of them, each file once. Nothing outside of root is read.
func Kernels(root string) ([]wire.InstalledKernel, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("look for kernels: %w", err)
	}
	defer dir.Close() //nolint:errcheck // it was read
	places, err := candidates(dir)
	if err != nil {
		return nil, fmt.Errorf("look for kernels: %w", err)
	}
	found := []wire.InstalledKernel{}
	for _, p := range places {
		sum, err := hash(dir, p.file)
		if errors.Is(err, errNoKernel) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for kernels: %w", err)
		}
		k := wire.InstalledKernel{Release: p.release, SHA256: sum, Modules: hasModules(dir, p.release)}
		if !slices.Contains(found, k) {
			found = append(found, k)
		}
		if len(found) == wire.MaxKernels {
			break
		}
	}
	return found, nil
}

// candidates returns what is named as a kernel, the newest first.
func candidates(dir *os.Root) ([]place, error) {
	var places []place
	boot, err := names(dir, dirBoot)
	if err != nil {
		return nil, err
	}
	for _, name := range boot {
		if release, ok := strings.CutPrefix(name, prefix); ok {
			places = append(places, place{release, path.Join(dirBoot, name)})
		}
	}
	modules, err := names(dir, dirModules)
	if err != nil {
		return nil, err
	}
	for _, release := range modules {
		places = append(places, place{release, path.Join(dirModules, release, "vmlinuz")})
	}
	places = slices.DeleteFunc(places, func(p place) bool { return wire.CheckKernelRelease(p.release) != nil })
	slices.SortStableFunc(places, func(a, b place) int { return -versions.Compare(a.release, b.release) })
	return places, nil
}

// names lists a directory, which need not be there.
func names(dir *os.Root, name string) ([]string, error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return entries, nil
}

// errNoKernel is a name without a kernel.
var errNoKernel = errors.New("no kernel")

// hash returns the SHA-256 of a file. A link, a device, or what is too large for a
// kernel is none.
func hash(dir *os.Root, name string) (string, error) {
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxKernelSize) {
		return "", errNoKernel
	}
	if err != nil {
		return "", err
	}
	f, err := dir.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, maxKernelSize)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// hasModules reports whether depmod has finished with the modules of a kernel.
func hasModules(dir *os.Root, release string) bool {
	info, err := dir.Stat(path.Join(dirModules, release, "modules.dep"))
	return err == nil && info.Mode().IsRegular()
}
