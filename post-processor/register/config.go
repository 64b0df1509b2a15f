package register

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config

// patience bounds how long preparing waits for a service.
const patience = 20 * time.Second

// Config is a block of the post-processor.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	client.Account      `mapstructure:",squash"`
	register.Config     `mapstructure:",squash"`

	ctx interpolate.Context
}

// prepare reads a block and finds what can be known to be wrong: the service has
// to be there and take the token.
func (c *Config) prepare(raws ...any) error {
	err := config.Decode(c, &config.DecodeOpts{PluginType: "snpguard-register", Interpolate: true, InterpolateContext: &c.ctx}, raws...)
	if err != nil {
		return err
	}
	if c.Token != "" {
		packer.LogSecretFilter.Set(c.Token)
	}
	if token := os.Getenv(client.TokenVariable); token != "" {
		packer.LogSecretFilter.Set(token)
	}
	problems := []error{c.Check()}
	if c.Bundle != "" && !c.PackerForce {
		if _, err := os.Lstat(c.Bundle); err == nil {
			problems = append(problems, option.Existsf("bundle", "%s exists: name another file, or replace it with packer build -force", c.Bundle))
		}
	}
	unknown := option.Unknown(c)
	if len(option.Unknown(&c.Account)) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		problems = append(problems, c.checkService(ctx))
	}
	return option.Known(errors.Join(problems...), unknown)
}

// checkService connects, and looks whether the name is free.
func (c *Config) checkService(ctx context.Context) error {
	service, login, err := c.Connect(ctx)
	if err != nil || c.AddRelease || c.Name == "" {
		return err
	}
	images, err := service.Images(ctx, client.ImageFilter{Name: c.Name})
	if err != nil {
		return option.Wrap("service_url", err)
	}
	for _, image := range images {
		if image.Name == c.Name {
			// No word of deleting: the disks of that image would never open again.
			return option.Errorf("image_name", "%s already has an image named %q: choose another name. "+
				"Each build makes a new image, and the existing one is still needed by its disks", login.URL, c.Name)
		}
	}
	return nil
}
