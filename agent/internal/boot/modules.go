package boot

import (
	"context"
	"errors"
	"io/fs"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

func (b *Boot) loadModules(context.Context) error {
	b.Log.Printf("modules", "%s", load(b.Machine.Modules, b.Machine.at(bootconf.DirModules), b.config.Modules))
	if err := b.mounts.configfs(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
