package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/vmkrecord"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
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

// openInitrd returns the entry's initrds as the boot loader hands them over: one
// behind the other, each on a boundary of four bytes.
func openInitrd(sys *system) (r io.Reader, closeAll func(), err error) {
	var files []fs.File
	var readers []io.Reader
	closeAll = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for i, name := range sys.choice.Entry.Initrds {
		f, err := openLocated(sys, name)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("initrd: %w", err)
		}
		files = append(files, f)
		readers = append(readers, f)
		if i == len(sys.choice.Entry.Initrds)-1 {
			break
		}
		info, err := f.Stat()
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("initrd: %w", err)
		}
		readers = append(readers, io.LimitReader(zeros{}, -info.Size()&3))
	}
	if len(files) == 0 {
		return nil, nil, errors.New("the boot entry has no initrd, and the agent needs one to run in")
	}
	return &limited{r: io.MultiReader(readers...), most: maxInitrd}, closeAll, nil
}

// segment is what makes the initrd, read before the root changes: the
// distribution's initrd in a file of the workspace, and the agent's part.
type segment struct {
	initrd.Segment
	original    string
	compression decompress.Format
}

// readSegment gathers what goes into the initrd.
func (c *conversion) readSegment(sys *system, k *keys, l *layout) (*segment, error) {
	tree, err := kmod.Open(sys.input.Root, sys.choice.Kernel.Release, sys.input.Packages...)
	if err != nil {
		return nil, err
	}
	closure, err := tree.Closure(kmod.ForAgent())
	if err != nil {
		return nil, err
	}
	c.record.Modules = initrd.ModuleFiles(closure.Modules)
	config, err := c.bootConfig(sys, k, l).Encode()
	if err != nil {
		return nil, err
	}
	original, closeAll, err := openInitrd(sys)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	s := &segment{
		Segment:  initrd.Segment{Agent: c.Agent, Config: config, Modules: closure.Modules},
		original: c.work.path("initrd"), compression: sys.choice.Kernel.Compression,
	}
	if err := writeNew(s.original, original); err != nil {
		return nil, err
	}
	return s, checkInitrd(sys, s.original)
}

// checkInitrd reads an initrd as the guest's kernel will.
func checkInitrd(sys *system, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = inspectInitrd(sys, f)
	return err
}

// inspectInitrd says what an initrd is, and refuses one in which the agent would
// not be found or has nothing to go on with.
func inspectInitrd(sys *system, r io.Reader) (*initrd.Info, error) {
	info, err := initrd.Inspect(r)
	switch {
	case err != nil:
		err = fmt.Errorf("%w; the kernel would stop there and not unpack the agent, which comes behind it", err)
	case info.Agent:
		err = errors.New("it holds an agent already: convert the image that this one came from")
	case !info.Init:
		err = errors.New("it has no /init, which the agent hands over to")
	default:
		for _, s := range info.Segments {
			if !sys.choice.Kernel.Unpacks(s.Format) {
				err = fmt.Errorf("it is compressed with %s, and the kernel reads none of it: CONFIG_RD_%s is not set", s.Format, strings.ToUpper(string(s.Format)))
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("initrd %s: %w; make the initrd anew in the image (update-initramfs -u, dracut --force)", strings.Join(sys.choice.Entry.Initrds, ", "), err)
	}
	return info, nil
}

// writeInitrd appends the agent's segment to the distribution's initrd.
func (c *conversion) writeInitrd(s *segment) error {
	original, err := os.Open(s.original)
	if err != nil {
		return err
	}
	defer original.Close()
	f, err := os.OpenFile(filepath.Join(c.staged(), staging.NameInitrd), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := initrd.Append(f, original, s.Segment, s.compression); err != nil {
		return err
	}
	return f.Close()
}

// bootConfig is what the agent is told.
func (c *conversion) bootConfig(sys *system, k *keys, l *layout) *bootconf.Config {
	return &bootconf.Config{
		Format: bootconf.Format, ImageID: k.image, Simulated: c.Simulate,
		Services: c.Service.URLs, CA: c.Service.CA, IdentityKey: c.Service.IdentityKey, VMKCommitment: k.commitment,
		Root: bootconf.Root{
			PartitionGUID: l.root.GUID.String(), SealedVMKOffset: vmkrecord.Offset, PayloadOffset: luks2.PayloadOffset,
			Cipher: bootconf.Cipher, SectorSize: xts.SectorSize,
			Filesystem: string(sys.root.fs.Type()), FilesystemUUID: sys.root.fs.UUID(),
			AllowDiscards: c.AllowDiscards, Grow: true,
		},
		Network: c.network, Deadline: int(c.Deadline / time.Second), Modules: c.record.Modules,
	}
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
	c.record.Recovery = c.RecoveryRecipients
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
