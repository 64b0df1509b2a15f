package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

func (b *Boot) loadModules(context.Context) error {
	names, err := moduleFiles(b.Machine.at(bootconf.DirModules))
	if err != nil {
		return err
	}
	b.Log.Printf("modules", "%s", load(b.Machine.Modules, b.Machine.at(bootconf.DirModules), names))
	if err := b.mounts.configfs(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// moduleFiles lists the modules of the initrd. The order of their names is that in
// which they are loaded.
func moduleFiles(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
