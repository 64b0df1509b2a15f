package rekernel

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// Files are the paths of what a release is measured from.
type Files struct{ Firmware, Kernel, Initrd, Cmdline string }

// Write makes a release with another kernel: vmlinuz and initrd.img in dir, the rest as
// the bundle has it. The initrd gets another agent where one is given.
func (r *Release) Write(dir string, k *Kernel, agent []byte) (*Files, error) {
	return r.write(dir, k, func(w io.Writer) error { return initrd.Write(w, r.segment(k, agent), k.Compression) })
}

// segment is what goes into the new initrd; agent is nil for the one of the release.
func (r *Release) segment(k *Kernel, agent []byte) initrd.Segment {
	s := initrd.Segment{Agent: r.Segment.Agent, Config: r.Segment.Config, Modules: k.Modules}
	if agent != nil {
		s.Agent = agent
	}
	return s
}

func (r *Release) write(dir string, k *Kernel, ramdisk func(io.Writer) error) (*Files, error) {
	files := &Files{
		Firmware: r.file(bundle.NameFirmware), Cmdline: r.file(bundle.NameCmdline),
		Kernel: filepath.Join(dir, bundle.NameKernel), Initrd: filepath.Join(dir, bundle.NameInitrd),
	}
	if err := writeNew(files.Kernel, func(w io.Writer) error {
		f, err := k.open()
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}); err != nil {
		return nil, fmt.Errorf("write kernel: %w", err)
	}
	return files, writeNew(files.Initrd, ramdisk)
}

func writeNew(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// WithFiles makes a release of a kernel and a complete initrd as they are, the rest as
// the bundle that was extracted to dir has it. The initrd must have an agent. The error
// wraps ErrRelease where it has none.
func WithFiles(dir, kernel, ramdisk string) (*Files, error) {
	f, err := os.Open(ramdisk)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := initrd.Inspect(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ramdisk, err)
	}
	if !info.Agent {
		return nil, fmt.Errorf("%w: %s has no agent, so nothing would open the root", ErrRelease, ramdisk)
	}
	return &Files{
		Firmware: filepath.Join(dir, bundle.NameFirmware), Cmdline: filepath.Join(dir, bundle.NameCmdline),
		Kernel: kernel, Initrd: ramdisk,
	}, nil
}
