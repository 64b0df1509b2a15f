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

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/meet"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convertopts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

//go:generate packer-sdc struct-markdown

// patience bounds how long preparing waits for a service.
const patience = 20 * time.Second

// Config says what to make, and how.
type Config struct {
	meet.Service       `mapstructure:",squash"`
	convertopts.Config `mapstructure:",squash"`

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
	c.SetDefaults()
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
		problems = append(problems, option.Errorf("output_directory", "%s exists: name another directory, or have this one replaced with packer build -force", c.OutputDirectory))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var service *meet.Service
	if !c.unknownService() {
		service = &c.Service
	}
	o, err := c.Config.Options(ctx, service)
	c.place(o, force)
	return option.Known(errors.Join(append(problems, err, check(o), programs())...))
}

// unknownService tells that the service is not known before data sources are
// read.
func (c *Config) unknownService() bool {
	return slices.Contains([]string{c.ServiceURL, c.CAFile, c.Fingerprint, c.IdentityKey, c.IngestionKey}, option.Placeholder)
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

// Options returns the options of the conversion, but for its source.
func (c *Config) Options(ctx context.Context, force bool) (*convert.Options, error) {
	o, err := c.Config.Options(ctx, &c.Service)
	c.place(o, force)
	return o, err
}

// place says where the results go.
func (c *Config) place(o *convert.Options, force bool) {
	o.Output, o.Staging, o.Replace = filepath.Join(c.OutputDirectory, c.VMName), c.Staging, force
}

// check is the conversion's own, without what is known later, and without what
// Options has found.
func check(o *convert.Options) error {
	var problems []error
	for _, err := range option.List(o.Check()) {
		var wrong *option.Error
		switch {
		case !errors.As(err, &wrong):
			problems = append(problems, err)
		case slices.Contains([]string{"in", "out", "staging"}, wrong.Option), wrong.Option == "agent_path" && len(o.Agent) == 0,
			slices.Contains([]string{"services", "ca_file", "identity_key", "ingestion_key"}, wrong.Option) && len(o.Service.IdentityKey) == 0:
		default:
			problems = append(problems, attribute(err))
		}
	}
	return errors.Join(problems...)
}

// attribute names an option of internal/image/convert as templates do: source and output
// are what a template says in another way.
func attribute(err error) error {
	var wrong *option.Error
	switch {
	case !errors.As(err, &wrong):
		return err
	case wrong.Option == "in":
		return fmt.Errorf("source image: %w", wrong.Err)
	case wrong.Option == "out":
		return option.Wrap("output_directory", wrong.Err)
	}
	return wrong
}
