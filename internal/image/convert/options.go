package convert

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// Options are a Config together with what it is carried out on. Paths are of the
// build machine.
type Options struct {
	Config

	Input   string // the source image, which is never written to
	Output  string // the image to make
	Staging string // directory to make for what registration needs
	Replace bool   // an output and a staging directory that exist

	Choose func(entries []Choice) (int, error) // asks for the boot entry; nil takes the default

	Service Service
	Agent   []byte // the agent's binary
	Version string // of this program, for conversion.json

	Events Events // told of progress; nil for nobody
}

// Choice is a boot entry to choose from.
type Choice struct {
	Title   string
	Kernel  string // version
	Default bool   // what GRUB would boot
	Reason  string // why it cannot be chosen; empty when it can
}

// NewOptions returns the options of a conversion, but for its source and what it
// makes. The service is asked for its keys unless the configuration has them. Errors
// about an option are an *option.Error; they are joined.
func NewOptions(ctx context.Context, c *Config, from *client.Service) (*Options, error) {
	o := &Options{Config: *c, Version: version.String()}
	if c.NoEncryption {
		return o, nil
	}
	var noAgent, noService error
	o.Agent, noAgent = c.agent()
	o.Service, noService = c.FindService(ctx, from)
	return o, errors.Join(noAgent, noService)
}

// Check finds what can be known to be wrong before the work begins: in the
// configuration, and in what it is carried out on. Each error is an *option.Error;
// they are joined. Templates have another name for Output, "output_directory", and
// none for Input.
func (o *Options) Check() error {
	_, err := o.check()
	return err
}

func (o *Options) check() (*settings, error) {
	problems := []error{o.checkInput(), o.checkOutput(), o.checkStaging()}
	s, err := o.read()
	problems = append(problems, err)
	if !o.NoEncryption {
		problems = append(problems, o.Service.check())
		if len(o.Agent) == 0 {
			problems = append(problems, option.Missingf("agent_path", "there is none to put into the initrd of the image"))
		}
	}
	return s, errors.Join(problems...)
}

func (o *Options) checkInput() error {
	if o.Input == "" {
		return option.Missingf("in", "the image to convert")
	}
	return option.Wrap("in", checkReadable(o.Input))
}
