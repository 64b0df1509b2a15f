package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/dmcrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// openRoot makes the dm-crypt device and wipes the keys, whatever happens, but for that
// of a ready instance: its generation is yet to be raised.
func (b *Boot) openRoot(ctx context.Context) error {
	if b.grant.State != wire.StateReady {
		defer b.wipe()
	}
	control, err := b.Machine.control()
	if err != nil {
		return err
	}
	defer control.Close() //nolint:errcheck // nothing was written
	r := b.config.Root
	b.device, err = dmcrypt.Create(control, dmcrypt.Target{
		Major: b.root.Major, Minor: b.root.Minor, Size: b.root.Size, PayloadOffset: r.PayloadOffset,
		Cipher: r.Cipher, SectorSize: r.SectorSize, AllowDiscards: r.AllowDiscards,
	}, b.key)
	if err != nil {
		return err
	}
	if err := soon().Do(ctx, func() error { _, err := os.Stat(b.devicePath()); return err }); err != nil {
		return errors.Join(err, dmcrypt.Remove(control))
	}
	if err := link(b.device.Name(), b.Machine.at(bootconf.MapperPath)); err != nil {
		return errors.Join(err, dmcrypt.Remove(control))
	}
	b.Log.Printf("crypt", "%s is %s on %s, %s with sectors of %d bytes", bootconf.MapperPath, b.device.Name(), b.root.Name, r.Cipher, r.SectorSize)
	return nil
}

func (b *Boot) devicePath() string { return b.Machine.at(filepath.Join(dirDev, b.device.Name())) }

// link makes the name by which the command line and fstab know the device. udev
// would make the very same link and keeps one that is there already.
func link(device, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if err := os.Symlink("../"+device, path); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}
