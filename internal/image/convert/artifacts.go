package convert

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Limits of what is booted, in bytes. They are the service's.
const (
	maxKernel = 256 << 20
	maxInitrd = 1 << 30
)

// writeBootFiles puts firmware, kernel and command line into the staging
// directory.
func (c *conversion) writeBootFiles(sys *system) error {
	firmware, err := os.Open(c.Firmware)
	if err != nil {
		return err
	}
	defer firmware.Close()
	if err := c.stageFrom(staging.NameFirmware, firmware); err != nil {
		return err
	}
	kernel, err := openLocated(sys, sys.choice.Entry.Kernel)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	defer kernel.Close()
	if err := c.stageFrom(staging.NameKernel, &limited{r: kernel, most: maxKernel}); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	return c.stageBytes(staging.NameCmdline, []byte(sys.cmdline), 0o644)
}

// openLocated opens a file that a boot entry names.
func openLocated(sys *system, name string) (fs.File, error) {
	fsys, file, err := sys.input.Locate(&sys.choice.Entry, name)
	if err != nil {
		return nil, err
	}
	return fsys.Open(file.Path)
}

// writeKeys puts the sealed keys into the staging directory.
func (c *conversion) writeKeys(k *keys) error {
	if err := c.stageBytes(staging.NameSealedVMK, k.sealedVMK, 0o644); err != nil {
		return err
	}
	// Sealed, but a capability: the service takes it from whoever has it.
	if err := c.stageBytes(staging.NameUnsealingKey, k.unsealingKey, 0o600); err != nil {
		return err
	}
	if len(c.recipients) == 0 {
		return nil
	}
	c.record.Recovery = c.recipientNames
	f, err := os.OpenFile(filepath.Join(c.staged(), staging.NameRecovery), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := k.recover(f, c.recipients); err != nil {
		return err
	}
	return f.Close()
}

// stageBytes writes a file of the staging directory.
func (c *conversion) stageBytes(name string, content []byte, mode fs.FileMode) error {
	return os.WriteFile(filepath.Join(c.staged(), name), content, mode)
}

// stageFrom writes a file of the staging directory from a reader.
func (c *conversion) stageFrom(name string, r io.Reader) error {
	return writeNew(filepath.Join(c.staged(), name), r)
}

// writeNew writes a file that is not there yet.
func writeNew(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		return err
	}
	return f.Close()
}

// limited fails when there is more to read than there may be.
type limited struct {
	r    io.Reader
	most int64 // bytes
	seen int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.seen += int64(n); l.seen > l.most {
		return 0, fmt.Errorf("it has more than %s", size.Text(l.most))
	}
	return n, err
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
