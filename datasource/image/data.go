// Package image is the Packer data source "snpguard-image": an image that is
// registered with an attestation service.
package image

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

//go:generate packer-sdc mapstructure-to-hcl2 -type Config,DatasourceOutput,Release,Variant
//go:generate packer-sdc struct-markdown

// patience bounds how long a service may take to answer.
const patience = time.Minute

// Config is a block of the data source. One image has to match all of it.
type Config struct {
	client.Account `mapstructure:",squash"`

	// UUID of the image.
	ID string `mapstructure:"id"`
	// Name of the image, exactly, or a channel such as `debian-13/stable`, with which
	// `id` and `labels` cannot be used.
	Name string `mapstructure:"name"`
	// Labels that the image has, among others.
	Labels map[string]string `mapstructure:"labels"`
	// Take the newest image where several match, in place of failing.
	// Default: false.
	MostRecent bool `mapstructure:"most_recent"`
}

// DatasourceOutput is what a template can use.
type DatasourceOutput struct {
	// UUID of the image.
	ID string `mapstructure:"id"`
	// Name of the image.
	Name string `mapstructure:"name"`
	// Labels of the image.
	Labels map[string]string `mapstructure:"labels"`
	// Whether the image gets keys.
	Enabled bool `mapstructure:"enabled"`
	// Whether the image was registered while a simulated AMD was trusted.
	Simulated bool `mapstructure:"simulated"`
	// When the image was registered, in RFC 3339.
	CreatedAt string `mapstructure:"created_at"`
	// SHA-384 digest of the ID key, in hexadecimal.
	IDKeyDigest string `mapstructure:"id_key_digest"`
	// SHA-384 digest of the author key, in hexadecimal.
	AuthorKeyDigest string `mapstructure:"author_key_digest"`
	// UUID of the release in force: that of the channel, or the newest that is approved.
	// Empty when there is none.
	ReleaseID string `mapstructure:"release_id"`
	// Releases of the image, the newest first.
	Releases []Release `mapstructure:"releases"`
}

// Release is one measured set of files of an image.
type Release struct {
	// UUID of the release.
	ID string `mapstructure:"id"`
	// `proposed`, `approved`, `rejected` or `retired`: only an approved release gets keys.
	State string `mapstructure:"state"`
	// When the release was registered, in RFC 3339.
	CreatedAt string `mapstructure:"created_at"`
	// Kernel command line, as it is measured.
	Cmdline string `mapstructure:"cmdline"`
	// Guest policy, in hexadecimal with `0x`.
	GuestPolicy string `mapstructure:"guest_policy"`
	// Security version of the guest.
	GuestSVN int `mapstructure:"guest_svn"`
	// Sizes in which the release can be launched, the default first.
	Variants []Variant `mapstructure:"variants"`
}

// Variant is a size of a release.
type Variant struct {
	// Count of vCPUs.
	VCPUs int `mapstructure:"vcpus"`
	// QEMU's name of the vCPU model.
	VCPUType string `mapstructure:"vcpu_type"`
	// Launch digest, 96 hexadecimal digits.
	Measurement string `mapstructure:"measurement"`
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
	if c.ID == "" && c.Name == "" && len(c.Labels) == 0 {
		return option.Missingf("name", "give %s, %s or %s to select the image", option.Name("id"), option.Name("name"), option.Name("labels"))
	}
	if client.IsChannel(c.Name) && (c.ID != "" || len(c.Labels) > 0) {
		return option.Errorf("name", "%q is a channel, and names one image: leave out %s and %s", c.Name, option.Name("id"), option.Name("labels"))
	}
	if c.ID == "" {
		return nil
	}
	_, err := wire.ParseUUID(c.ID)
	return option.Known(option.Wrap("id", err), option.Unknown(c))
}

// Execute implements packer.Datasource.
func (d *Datasource) Execute() (cty.Value, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	image, err := d.config.find(ctx)
	if err != nil {
		return cty.NullVal(cty.EmptyObject), err
	}
	return hcl2helper.HCL2ValueFromConfig(*output(image), d.OutputSpec()), nil
}
