package embed

import "github.com/snpguard-go/packer-plugin-snpguard/internal/option"

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
	// Keep the active slot and put the bundle into the other one, which then is
	// active.
	Update bool `mapstructure:"update" flag:"update" help:"keep the active slot and use the other one"`
	// Put the slot on trial: unless the guest confirms that it has booted,
	// `snpguard launch` returns to the slot that was active. Needs `update`.
	Trial bool `mapstructure:"trial" flag:"trial" help:"return to the slot that was active unless the guest confirms that it has booted; needs --update"`
}

// optionTrial is Trial in errors.
const optionTrial option.Name = "trial"

// Check finds what can be known to be wrong from the configuration. The error is an
// *option.Error.
func (c *Config) Check() error {
	if c.Trial && !c.Update {
		return option.Errorf(optionTrial, "it needs %s: otherwise there is no slot to return to", option.Name("update"))
	}
	return nil
}
