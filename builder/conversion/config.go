// Package conversion is what the builder and the post-processor "snpguard-convert"
// have in common: the attributes, the conversion as Packer shows it, and the
// artifact that comes out.
package conversion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

//go:generate packer-sdc struct-markdown

// patience bounds how long preparing waits for a service.
const patience = 20 * time.Second

// Config says what to make, and how.
type Config struct {
	client.Service `mapstructure:",squash"`
	convert.Config `mapstructure:",squash"`

	// Directory for the image and the staging directory. It must not exist
	// unless `packer build -force` is used, which replaces what this build makes
	// there when the new image is finished, not before. Default: `output-` and
	// the name of the build.
	OutputDirectory string `mapstructure:"output_directory"`
	// Name of the image's file. Default: the name of the build, and the format
	// as its extension.
	VMName string `mapstructure:"vm_name"`
	// Staging directory: what registration needs of the conversion. Default:
	// `staging` in the output directory.
	Staging string `mapstructure:"staging"`
}

// Prepare fills in defaults for a build and finds what can be known to be wrong
// before there is a source. The error joins *option.Error.
func (c *Config) Prepare(build string, force bool) error {
	option.SetDefaults(&c.Config)
	if c.OutputDirectory == "" {
		c.OutputDirectory = "output-" + build
	}
	if c.VMName == "" {
		c.VMName = build + "." + c.Format
	}
	if c.Staging == "" {
		c.Staging = filepath.Join(c.OutputDirectory, "staging")
	}
	var problems []error
	if filepath.Base(c.VMName) != c.VMName || c.VMName == ".." || c.VMName == "." {
		problems = append(problems, option.Errorf("vm_name", "%q is not the name of a file", c.VMName))
	}
	if _, err := os.Lstat(c.OutputDirectory); err == nil && !force {
		problems = append(problems, option.Existsf("output_directory", "%s exists: name another directory, or replace it with packer build -force", c.OutputDirectory))
	}
	unknown := option.Unknown(c)
	problems = append(problems, c.Check())
	if !c.NoEncryption && !slices.ContainsFunc(unknown, aboutService) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := c.FindService(ctx, &c.Service)
		problems = append(problems, err)
	}
	return option.Known(errors.Join(append(problems, programs())...), unknown)
}

// aboutService tells the options that have to be known before a service is asked:
// not all are until data sources are read.
func aboutService(name option.Name) bool {
	return slices.Contains([]option.Name{"service_url", "ca_file", "fingerprint", "identity_key", "ingestion_key"}, name)
}

// programs wants those that the conversion runs.
func programs() error {
	var problems []error
	for _, name := range []string{"qemu-img", "qemu-nbd"} {
		if _, err := exec.LookPath(name); err != nil {
			problems = append(problems, fmt.Errorf("%s is missing: install qemu-utils (Debian, Ubuntu), qemu-img (Fedora) or qemu (Homebrew)", name))
		}
	}
	for _, name := range []string{"debugfs", "e2fsck"} {
		_, err := e2fsprogs.Program(name)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// spelling names the options of internal/image/convert as templates do: source and output
// are what a template says in another way.
func spelling(name option.Name) string {
	switch name {
	case "in":
		return "source image"
	case "out":
		return "output_directory"
	}
	return string(name)
}
