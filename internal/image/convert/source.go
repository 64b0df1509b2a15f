package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// source is an open source image.
type source struct {
	image     *qemu.Source
	disk      *qemu.Disk
	table     *gpt.Table
	converted bool // the table was an MBR
	list      []Volume
	root      *Volume
	boot      *Volume // nil when the root has its kernels itself, or the EFI system partition
	esp       *Volume // the EFI system partition, or nil
}

func (s *source) close() {
	s.disk.Close() //nolint:errcheck // it was only read
}

// openSource opens the source image and finds its root.
func (c *conversion) openSource(ctx context.Context, image *unpacked) (*source, error) {
	s, err := openSource(ctx, image.path)
	if err != nil {
		return nil, err
	}
	if err := c.checkBacking(s.image); err != nil {
		s.close()
		return nil, err
	}
	if s.root, err = findRoot(s.list); err == nil {
		s.boot, s.esp, err = findBoot(s.list, s.root)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	c.record.Source = staging.Source{
		Path: filepath.Base(c.Input), Format: string(s.image.Format), Size: s.disk.Size(),
	}
	if image.how != "" {
		c.Events.Note(fmt.Sprintf("the disk image in it (%s) was unpacked", image.how))
	}
	if s.table.Damage != nil {
		c.Events.Note(s.table.Damage.Error())
	}
	if s.converted && !c.NoEncryption {
		c.Events.Note("the MBR becomes a GPT: partitions get new GUIDs")
	}
	c.Events.Note(fmt.Sprintf("%s, %s, root on partition %d (%s)", s.image.Format, size.Text(s.disk.Size()), s.root.Partition.Number, s.root.Type))
	return s, nil
}

// openSource opens an image and looks into its partitions.
func openSource(ctx context.Context, path string) (*source, error) {
	image, err := qemu.Probe(path)
	if err != nil {
		return nil, err
	}
	disk, err := qemu.Open(ctx, image)
	if err != nil {
		return nil, err
	}
	table, converted, err := partitions(disk)
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return &source{image: image, disk: disk, table: table, converted: converted, list: volumes(disk, table)}, nil
}

// hashFile returns the SHA-256 of a file, in hexadecimal. It ends with the
// context: a large file takes longer than anybody waits after Ctrl-C.
func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, until{ctx, f}); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// until reads until its context ends.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
