// Package register sends what a conversion has left in its staging directory to
// the attestation service, and fetches the launch bundle. Command line and Packer
// plugin both use it.
package register

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
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
	id, err := c.image()
	if err != nil {
		return nil, err
	}
	policy, err := c.reportPolicy()
	if err != nil {
		return nil, err
	}
	r := &Request{Further: c.AddRelease, Registration: wire.Registration{
		ImageID: id, Name: c.Name, Labels: c.Labels, Disabled: c.Disabled, VCPUs: c.VCPUs, VCPUTypes: c.VCPUTypes,
		GuestPolicy: c.GuestPolicy, GuestSVN: c.GuestSVN, Policy: policy,
	}}
	return r, c.addUploads(r)
}

// image returns the UUID that the conversion gave the image.
func (c *Config) image() (wire.UUID, error) {
	if c.ImageID != "" {
		id, err := wire.ParseUUID(c.ImageID)
		return id, option.Wrap("image_id", err)
	}
	if c.Staging == "" {
		return wire.UUID{}, option.Errorf("staging", "is missing: where has the conversion left its files?")
	}
	conversion, err := staging.Read(c.Staging)
	if err != nil {
		return wire.UUID{}, err
	}
	return conversion.ImageID, nil
}

// addUploads finds the files and their size in all.
func (c *Config) addUploads(r *Request) error {
	for _, f := range []struct{ option, part, path, name, what string }{
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
				return option.Errorf(f.option, "is missing: %s, unless a staging directory has it", f.what)
			}
			path = filepath.Join(c.Staging, f.name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		r.Size += info.Size()
		r.Uploads = append(r.Uploads, client.Upload{Part: f.part, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return nil
}

// Send registers. written counts the bytes as they go.
func (r *Request) Send(ctx context.Context, c *client.Client, written func(int)) (*wire.Registered, error) {
	return c.Register(ctx, r.Registration, r.Uploads, r.Further, written)
}
