package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxModule bounds a module in bytes.
const maxModule = 64 << 20

// Loader gives the kernel one module. fs.ErrExist says
// that it has it already.
type Loader interface {
	Load(path string) error
}

// loadResult says what became of the modules.
type loadResult struct {
	Loaded, Present int
	Failed          []string // "NAME: why"
}

// String returns the result in one line.
func (r loadResult) String() string {
	text := fmt.Sprintf("%d loaded, %d present", r.Loaded, r.Present)
	if len(r.Failed) > 0 {
		text += "; not loaded: " + strings.Join(r.Failed, ", ")
	}
	return text
}

// load loads modules. One that fails is no end: a driver for hardware that is
// not there refuses to load, and whatever is really missing shows in the step
// that needs it.
func load(loader Loader, dir string, names []string) loadResult {
	var r loadResult
	for _, name := range names {
		err := loader.Load(filepath.Join(dir, name))
		switch {
		case err == nil:
			r.Loaded++
		case errors.Is(err, fs.ErrExist):
			r.Present++
		default:
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", strings.TrimSuffix(name, ".ko"), err))
		}
	}
	return r
}

// kernelModules is the running kernel.
type kernelModules struct{}

// Load hands over the file, or its bytes where the kernel cannot take a file.
func (kernelModules) Load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxModule {
		return fmt.Errorf("%d bytes, want at most %d", info.Size(), maxModule)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return unix.InitModule(image, "")
}
