// Package register sends what a conversion has left in its staging directory to
// the attestation service, and fetches the launch bundle. Command line and Packer
// plugin both use it.
package register

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Request is a registration that is ready to be sent.
type Request struct {
	Registration wire.Registration
	Uploads      []client.Upload // in the order in which the service takes them
	Size         int64           // of all uploads, in bytes
	Further      bool            // a release of an image that exists
}

// Request makes the request for a registration. Errors about an option are an
// *option.Error; those about the staging directory wrap staging.ErrStaging.
func (c *Config) Request() (*Request, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	id, conversion, err := c.image()
	if err != nil {
		return nil, err
	}
	findings, err := c.findings(conversion)
	if err != nil {
		return nil, err
	}
	policy, err := c.reportPolicy()
	if err != nil {
		return nil, err
	}
	instances, err := c.instances()
	if err != nil {
		return nil, err
	}
	if err := CheckInstances(conversion, instances); err != nil {
		return nil, err
	}
	r := &Request{Further: c.AddRelease, Registration: wire.Registration{
		ImageID: id, Name: c.Name, Labels: c.Labels, Disabled: c.Disabled, VCPUs: c.VCPUs, VCPUTypes: c.VCPUTypes,
		GuestPolicy: c.GuestPolicy, GuestSVN: c.GuestSVN, Policy: policy, Findings: findings, Instances: instances,
	}}
	return r, c.addUploads(r)
}

// image returns the UUID that the conversion gave the image, and the conversion
// where there is a staging directory.
func (c *Config) image() (wire.UUID, *staging.Conversion, error) {
	var conversion *staging.Conversion
	var err error
	if c.Staging != "" {
		if conversion, err = staging.Read(c.Staging); err != nil {
			return wire.UUID{}, nil, err
		}
	}
	switch {
	case c.ImageID != "":
		id, err := wire.ParseUUID(c.ImageID)
		return id, conversion, option.Wrap("image_id", err)
	case conversion == nil:
		return wire.UUID{}, nil, option.Missingf("staging", "the staging directory of the conversion")
	}
	return conversion.ImageID, conversion, nil
}

// addUploads finds the files and their size in all.
func (c *Config) addUploads(r *Request) error {
	for _, f := range []struct {
		option                 option.Name
		part, path, name, what string
	}{
		{"firmware", "firmware", c.Firmware, bundle.NameFirmware, "the OVMF build that the image is launched with"},
		{"kernel", "kernel", c.Kernel, bundle.NameKernel, "the kernel that the image boots"},
		{"initrd", "initrd", c.Initrd, bundle.NameInitrd, "the initrd with the agent"},
		{"cmdline_file", "cmdline", c.CmdlineFile, bundle.NameCmdline, "the file with the kernel command line"},
		{"unsealing_key", "unsealing_key", c.UnsealingKey, staging.NameUnsealingKey, "the unsealing key, sealed to the service"},
	} {
		path := f.path
		if path == "" && f.part == "unsealing_key" && r.Further {
			continue // the image has it, and it is best not to travel again
		}
		if path == "" {
			if c.Staging == "" {
				return option.Missingf(f.option, "%s, unless a staging directory has it", f.what)
			}
			path = filepath.Join(c.Staging, f.name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := checkRaw(path); err != nil {
			return option.Wrap(f.option, err)
		}
		r.Size += info.Size()
		r.Uploads = append(r.Uploads, client.Upload{Part: f.part, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return nil
}

// checkRaw refuses a disk image in place of the bytes that are measured, before
// anything is sent.
func checkRaw(path string) error {
	head, err := input.Bounded(path, measure.ContainerHeadSize)
	if err != nil {
		return err
	}
	if err := measure.CheckRaw(head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Send registers. written counts the bytes as they go.
func (r *Request) Send(ctx context.Context, c *client.Client, written func(int)) (*wire.Registered, error) {
	return c.Register(ctx, r.Registration, r.Uploads, r.Further, written)
}
