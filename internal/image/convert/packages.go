package convert

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/pkgfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// modulePackage is an open package and the hash of its file.
type modulePackage struct {
	*linuxpkg.Set
	name, sum string
}

// openPackages opens the packages with kernel modules that the image lacks. They
// lie in dir; closing them is not needed where that is removed.
func openPackages(ctx context.Context, specs []string, dir string, events Events) (list []*modulePackage, err error) {
	for _, text := range specs {
		p, err := openPackage(ctx, text, dir, events)
		if err != nil {
			return list, option.Wrap("module_packages", fmt.Errorf("%s: %w", text, err))
		}
		list = append(list, p)
	}
	return list, nil
}

func openPackage(ctx context.Context, text, dir string, events Events) (*modulePackage, error) {
	spec, err := pkgfile.Parse(text)
	if err != nil {
		return nil, err
	}
	if spec.Remote() {
		events.Step("Download " + spec.Name())
	}
	source, err := spec.Fetch(ctx, dir)
	if err != nil {
		return nil, err
	}
	set, err := linuxpkg.Open(dir, source)
	if err != nil {
		return nil, err
	}
	if !set.HasModules() {
		return nil, errors.New("it has no kernel modules")
	}
	return &modulePackage{set, spec.Name(), set.Packages[0].SHA256}, nil
}
