package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// flagErrors turns errors about options into errors about the flags of a command.
// What is there already, or is not to be had, is no fault of the command line.
func flagErrors(cmd *cobra.Command, err error) error {
	named := nameFlags(cmd, err)
	for _, part := range option.List(err) {
		var wrong *option.Error
		if errors.As(part, &wrong) && wrong.Kind != option.Exists && wrong.Kind != option.Unavailable {
			return usageError{named}
		}
	}
	return named
}

// nameFlags names the options in errors as the command line does, each error on a
// line of its own.
func nameFlags(cmd *cobra.Command, err error) error {
	var all []error
	for _, part := range option.List(err) {
		var wrong *option.Error
		replaces := errors.As(part, &wrong) && wrong.Kind == option.Exists && cmd.Flags().Lookup("force") != nil
		part = option.Spell(part, option.Spelling(cmd.Flags()))
		if replaces {
			part = fmt.Errorf("%w; --force replaces it", part)
		}
		all = append(all, part)
	}
	return errors.Join(all...)
}

// alsoTakes lets flags be given by a second name as well, under which other tools
// have them. Help shows the first alone.
func alsoTakes(cmd *cobra.Command, second map[string]string) {
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if first, found := second[name]; found {
			name = first
		}
		return pflag.NormalizedName(name)
	})
}

// addGuestPolicyFlag adds the flag for the guest policy of one guest.
func addGuestPolicyFlag(cmd *cobra.Command, policy *string) {
	cmd.Flags().StringVar(policy, "guest-policy", measure.Hex(idblock.DefaultPolicy).String(), "guest policy, a number or names such as abi=0.31,smt")
}

// addDiskFlags adds the flags for the files of a guest's disk.
func addDiskFlags(cmd *cobra.Command, files *qemu.Files, usage string) {
	cmd.Flags().StringVar(&files.Image, "image", "", usage+", qcow2 or raw")
	cmd.Flags().StringVar(&files.Backing, "backing", "", "golden image that --image is a qcow2 overlay on; the name in its header is not followed")
}

// addTrustRootFlag adds the flag that simulations need.
func addTrustRootFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "insecure-trust-root", "", "PEM file with a SIMULATED AMD's ARKs, trusted in place of AMD's")
	alsoTakes(cmd, map[string]string{"trust-root": "insecure-trust-root"})
}

// addIdentityKeyFlag adds the flag for the key that signs launch bundles.
func addIdentityKeyFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "identity-key", "", "PEM file with the service's identity key (default the login's)")
}
