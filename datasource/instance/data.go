// Package instance is the Packer data source "snpguard-instance": an instance that an
// attestation service knows, one VM of an image.
package instance

import (
	"context"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	"github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config,DatasourceOutput
//go:generate packer-sdc struct-markdown

// patience bounds how long a service may take to answer.
const patience = time.Minute

// Config is a block of the data source.
type Config struct {
	client.Account `mapstructure:",squash"`

	// UUID of the instance.
	ID string `mapstructure:"id"`
	// Name of the instance.
	Name string `mapstructure:"name"`
}

// DatasourceOutput is what a template can use.
type DatasourceOutput struct {
	// UUID of the instance.
	ID string `mapstructure:"id"`
	// Name of the instance.
	Name string `mapstructure:"name"`
	// UUID of its image.
	ImageID string `mapstructure:"image_id"`
	// Name of its image.
	ImageName string `mapstructure:"image_name"`
	// `new`, `claimed` or `ready`: the disk of a ready one is under its own volume key.
	State string `mapstructure:"state"`
	// Whether the instance gets keys.
	Enabled bool `mapstructure:"enabled"`
	// HOST_DATA with which it is launched, 64 hexadecimal digits.
	HostData string `mapstructure:"host_data"`
}

// Datasource implements packer.Datasource.
type Datasource struct{ config Config }

// ConfigSpec implements packer.Datasource.
func (d *Datasource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec implements packer.Datasource.
func (d *Datasource) OutputSpec() hcldec.ObjectSpec {
	return (&DatasourceOutput{}).FlatMapstructure().HCL2Spec()
}

// Configure implements packer.Datasource.
func (d *Datasource) Configure(raws ...any) error {
	c := &d.config
	if err := config.Decode(c, nil, raws...); err != nil {
		return err
	}
	if c.Token != "" {
		packer.LogSecretFilter.Set(c.Token)
	}
	if (c.ID == "") == (c.Name == "") {
		return option.Missingf("name", "give either %s or %s to select the instance", option.Name("id"), option.Name("name"))
	}
	return option.Known(c.check(), option.Unknown(c))
}

// check looks at what selects the instance.
func (c *Config) check() error {
	if c.ID == "" {
		return option.Wrap("name", wire.CheckInstanceName(c.Name))
	}
	_, err := wire.ParseUUID(c.ID)
	return option.Wrap("id", err)
}

// Execute implements packer.Datasource.
func (d *Datasource) Execute() (cty.Value, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := d.config.find(ctx)
	if err != nil {
		return cty.NullVal(cty.EmptyObject), err
	}
	return hcl2helper.HCL2ValueFromConfig(*output(found), d.OutputSpec()), nil
}

// find returns the instance. One that was deleted is none.
func (c *Config) find(ctx context.Context) (*wire.Instance, error) {
	service, _, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	found, err := service.FindInstance(ctx, c.ID+c.Name) // one of them is empty
	if err != nil {
		return nil, err
	}
	if found.DeletedAt != nil {
		return nil, option.Errorf("name", "instance %q was deleted; \"snpguard instance undelete\" takes that back", found.Name)
	}
	return found, nil
}

func output(i *wire.Instance) *DatasourceOutput {
	return &DatasourceOutput{
		ID: i.ID.String(), Name: i.Name, ImageID: i.ImageID.String(), ImageName: i.ImageName,
		State: string(i.State), Enabled: i.Enabled, HostData: i.HostData,
	}
}
