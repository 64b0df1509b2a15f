package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// registerOptions are the flags of "snpguard register" as they were given.
type registerOptions struct {
	register.Config
	force, json bool
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

An image in which the conversion found a critical weakness that it could not fix is
refused, unless every critical finding is named with --accept-finding; the release
and the audit log say who accepted what.

To add a release to an image that is already registered, give --add-release. That one is
proposed, and unlocks nothing until "snpguard release approve".

Unless --policy, --products and --tcb-floor say otherwise, chips of every known line
get the key whose firmware reaches the floors that come with the service;
"snpguard image policy" shows what is in force. Name the lines: software alone
extracts the key of a chip of Milan, whose owner then forges any report.`,
		Example: `  snpguard register --staging out/staging --name debian-13 --vcpus 2,4 --vcpu-type EPYC-Genoa,EPYC-Turin \
      --products Genoa,Turin --bundle launch-artifacts.tar.gz`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRegister(cmd, &o) },
	}
	option.Flags(cmd.Flags(), &o.Config)
	addForceFlag(cmd, &o.force)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runRegister(cmd *cobra.Command, o *registerOptions) error {
	request, err := o.Request()
	if err != nil {
		return flagErrors(cmd, err)
	}
	if err := checkNew(o.Bundle, o.force); err != nil {
		return err
	}
	service, err := connect()
	if err != nil {
		return err
	}
	bar := newProgress(cmd, "upload", request.Size)
	registered, err := request.Send(cmd.Context(), service.Client, bar.add)
	bar.done()
	if problem := (*wire.Problem)(nil); errors.As(err, &problem) && problem.Code == wire.CodeConflict && !o.AddRelease {
		// A conflict may be about the name alone: of another image, a release helps nobody.
		if _, unknown := service.Image(cmd.Context(), request.Registration.ImageID); unknown == nil {
			return fmt.Errorf("%w; --add-release adds one", err)
		}
	}
	if err != nil {
		return err
	}
	if o.Bundle != "" {
		request := client.BundleRequest{Image: registered.Image.ID, Release: registered.Release.ID, Format: bundle.TarGz}
		if err := service.download(cmd, request, o.Bundle); err != nil {
			return fmt.Errorf("image %s is registered, but its bundle could not be downloaded: %w", registered.Image.ID, err)
		}
	}
	if registered.Release.State == wire.StateProposed {
		note(cmd, "The release is proposed: it unlocks nothing until someone else with the role approve runs\n  snpguard release approve %s %s", registered.Image.ID, registered.Release.ID)
	}
	if err := noteWarnings(cmd, registered.Image.Policy); err != nil {
		return err
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

// noteWarnings says what the owner should know of the policy that is in force.
func noteWarnings(cmd *cobra.Command, policy []byte) error {
	warnings, err := register.Warnings(policy)
	for _, warning := range warnings {
		note(cmd, "WARNING: %s", warning)
	}
	return err
}
