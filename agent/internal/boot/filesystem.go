package boot

import (
	"context"
	"errors"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/dmcrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/superblock"
)

// checkFilesystem wants the measured file system behind the encryption.
// Otherwise the device is removed again.
func (b *Boot) checkFilesystem(context.Context) error {
	err := b.superblock()
	if err == nil {
		b.Log.Printf("filesystem", "%s %s", b.config.Root.Filesystem, b.config.Root.FilesystemUUID)
		return nil
	}
	control, openErr := b.Machine.control()
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	defer control.Close() //nolint:errcheck // nothing was written
	return errors.Join(err, dmcrypt.Remove(control))
}

func (b *Boot) superblock() error {
	device, err := b.rootDevice()
	if err != nil {
		return err
	}
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	return superblock.Check(f, b.config.Root.Filesystem, b.config.Root.FilesystemUUID)
}
