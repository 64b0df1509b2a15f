package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// registerOptions are the flags of "snpguard register" as they were given.
type registerOptions struct {
	staging                                             string
	firmware, kernel, initrd, cmdlineFile, unsealingKey string
	imageID, name                                       string
	labels                                              map[string]string
	vcpus                                               []int
	vcpuTypes                                           []string
	guestPolicy                                         string
	guestSVN                                            uint32
	policy                                              string
	tcbFloors                                           []string
	disabled, further, json                             bool
	bundle                                              string
}

func newRegisterCommand() *cobra.Command {
	var o registerOptions
	cmd := &cobra.Command{
		Use:   "register --staging DIR --name NAME --vcpus N --vcpu-type TYPE --bundle FILE [flags]",
		Short: "Register an image, or a release of one, with the attestation service",
		Long: `Register what "snpguard convert" has left in its staging directory with the
attestation service, which computes the launch digest of every variant (lists of
--vcpus and --vcpu-type are multiplied), signs their ID blocks and returns the
launch bundle. The first variant is the default.

An image of which a release is registered already takes --release.`,
		Example: `  snpguard register --staging out/staging --name debian-13 --vcpus 2,4 --vcpu-type EPYC-Milan,EPYC-Genoa \
      --tcb-floor Milan:bootloader=4,tee=0,snp=24,microcode=217 --bundle launch-artifacts.tar.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRegister(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.staging, "staging", "", "staging directory of the conversion")
	f.StringVar(&o.firmware, "firmware", "", "firmware (default in --staging)")
	f.StringVar(&o.kernel, "kernel", "", "kernel (default in --staging)")
	f.StringVar(&o.initrd, "initrd", "", "initrd (default in --staging)")
	f.StringVar(&o.cmdlineFile, "cmdline-file", "", "file with the kernel command line (default in --staging)")
	f.StringVar(&o.unsealingKey, "unsealing-key", "", "sealed unsealing key (default in --staging)")
	f.StringVar(&o.imageID, "image-id", "", "UUID that the conversion gave the image (default in --staging)")
	f.StringVar(&o.name, "name", "", "name of the image")
	f.StringToStringVar(&o.labels, "label", nil, "KEY=VALUE; may be repeated")
	f.IntSliceVar(&o.vcpus, "vcpus", nil, "counts of vCPUs, separated by commas")
	f.StringSliceVar(&o.vcpuTypes, "vcpu-type", nil, "QEMU's names of vCPU models, separated by commas")
	f.StringVar(&o.guestPolicy, "guest-policy", "", "guest policy, a number or names such as abi=0.31,smt (default 0x30000)")
	f.Uint32Var(&o.guestSVN, "guest-svn", 0, "security version of the guest")
	f.StringVar(&o.policy, "policy", "", "file with a report policy (docs/report-policy.md)")
	f.StringArrayVar(&o.tcbFloors, "tcb-floor", nil, "PRODUCT:COMPONENT=N,... for reported, committed and launch TCB; may be repeated")
	f.BoolVar(&o.disabled, "disabled", false, "register it, but release no key yet")
	f.BoolVar(&o.further, "release", false, "add a release to an image that exists")
	f.StringVar(&o.bundle, "bundle", "", "file to write the launch bundle to")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runRegister(cmd *cobra.Command, o *registerOptions) error {
	in, err := o.registration()
	if err != nil {
		return err
	}
	uploads, total, err := o.uploads()
	if err != nil {
		return err
	}
	service, err := connect()
	if err != nil {
		return err
	}
	bar := newProgress(cmd, "upload", total)
	registered, err := service.Register(cmd.Context(), *in, uploads, o.further, bar.add)
	bar.done()
	if err != nil {
		return err
	}
	if o.bundle != "" {
		request := client.BundleRequest{Image: registered.Image.ID, Release: registered.Release.ID, Format: bundle.TarGz}
		if err := service.download(cmd, request, o.bundle); err != nil {
			return fmt.Errorf("image %s is registered, but its bundle could not be downloaded: %w", registered.Image.ID, err)
		}
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), registered)
	}
	t := newTable(cmd)
	fmt.Fprintf(t, "image\t%s\nrelease\t%s\n", registered.Image.ID, registered.Release.ID)
	for _, v := range registered.Release.Variants {
		fmt.Fprintf(t, "%dx%s\t%s\n", v.VCPUs, safe(v.VCPUType), safe(v.Measurement))
	}
	return t.Flush()
}

// registration turns the flags into the first part of the upload.
func (o *registerOptions) registration() (*wire.Registration, error) {
	if o.name == "" && !o.further {
		return nil, usageErrorf("--name is missing")
	}
	if len(o.vcpus) == 0 || len(o.vcpuTypes) == 0 {
		return nil, usageErrorf("--vcpus and --vcpu-type say which sizes may be launched")
	}
	id, err := o.image()
	if err != nil {
		return nil, err
	}
	policy, err := o.reportPolicy()
	if err != nil {
		return nil, err
	}
	return &wire.Registration{
		ImageID: id, Name: o.name, Labels: o.labels, Disabled: o.disabled, VCPUs: o.vcpus, VCPUTypes: o.vcpuTypes,
		GuestPolicy: o.guestPolicy, GuestSVN: o.guestSVN, Policy: policy,
	}, nil
}

// image returns the UUID that the conversion gave the image.
func (o *registerOptions) image() (wire.UUID, error) {
	if o.imageID != "" {
		id, err := wire.ParseUUID(o.imageID)
		if err != nil {
			return id, usageErrorf("--image-id: %w", err)
		}
		return id, nil
	}
	if o.staging == "" {
		return wire.UUID{}, usageErrorf("--staging is missing: where has the conversion left its files?")
	}
	conversion, err := staging.Read(o.staging)
	if err != nil {
		return wire.UUID{}, err
	}
	return conversion.ImageID, nil
}

// uploads returns the files in the order in which the service takes them, and
// their size in all.
func (o *registerOptions) uploads() (files []client.Upload, total int64, err error) {
	for _, f := range []struct{ part, path, name string }{
		{"firmware", o.firmware, bundle.NameFirmware},
		{"kernel", o.kernel, bundle.NameKernel},
		{"initrd", o.initrd, bundle.NameInitrd},
		{"cmdline", o.cmdlineFile, bundle.NameCmdline},
		{"unsealing_key", o.unsealingKey, staging.NameUnsealingKey},
	} {
		path := f.path
		if path == "" {
			if o.staging == "" {
				return nil, 0, usageErrorf("--%s is missing", strings.ReplaceAll(f.part, "_", "-"))
			}
			path = filepath.Join(o.staging, f.name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, 0, err
		}
		total += info.Size()
		files = append(files, client.Upload{Part: f.part, Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return files, total, nil
}
