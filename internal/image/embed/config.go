package embed

import (
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

//go:generate packer-sdc struct-markdown

// Config says what to embed into which image, on the command line and in templates
// alike.
type Config struct {
	// The disk image to change in place, qcow2 or raw. By default that of the
	// artifact.
	Image string `mapstructure:"image" flag:"image" help:"disk image to change, qcow2 or raw"`
	// The golden image that the disk image is a qcow2 overlay on. It is only read;
	// the name in the overlay's header is not followed.
	Backing string `mapstructure:"backing" flag:"backing" help:"golden image that --image is a qcow2 overlay on; the name in its header is not followed"`
	// The launch bundle to put onto it, tar.gz or tar. By default that of the
	// artifact, which `snpguard-register` has downloaded.
	Bundle string `mapstructure:"bundle" flag:"bundle" help:"launch bundle, tar.gz or tar"`
	// Size of the partition, such as `512M`. By default as it is, or 512 MiB.
	Size string `mapstructure:"size" flag:"size" help:"size of the partition, such as 512M (default as it is, or 512M)"`
	// Keep the active slot and put the bundle into the other one, which then is
	// active.
	Update bool `mapstructure:"update" flag:"update" help:"keep the active slot and use the other one"`
}

// optionSize is Size in errors.
const optionSize option.Name = "size"

// Check finds what can be known to be wrong from the configuration. The error is an
// *option.Error.
func (c *Config) Check() error {
	_, err := c.bytes()
	return err
}

// bytes returns the size of the partition, 0 for as it is or DefaultSize.
func (c *Config) bytes() (int64, error) {
	if c.Size == "" {
		return 0, nil
	}
	n, err := size.Parse(c.Size)
	return n, option.Wrap(optionSize, err)
}
