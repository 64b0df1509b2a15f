package main

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/agentbin"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// flagErrors turns errors about options into errors about the flags of a command.
// What the file system says, or a program without agents, is no fault of the
// command line.
func flagErrors(cmd *cobra.Command, err error) error {
	named := nameFlags(cmd, err)
	for _, part := range option.List(err) {
		environment := errors.As(part, new(*fs.PathError)) || errors.Is(part, fs.ErrExist) || errors.Is(part, agentbin.ErrMissing)
		if errors.As(part, new(*option.Error)) && !environment {
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
		if errors.As(part, &wrong) {
			part = &flagError{cmd, wrong}
		}
		all = append(all, part)
	}
	return errors.Join(all...)
}

// flagError is an option's error in the words of the command line.
type flagError struct {
	cmd   *cobra.Command
	wrong *option.Error
}

func (e *flagError) Unwrap() error { return e.wrong }

func (e *flagError) Error() string {
	text := option.Sentence("--"+flagName(e.cmd, e.wrong.Option), flagNames(e.cmd, e.wrong.Err.Error()))
	if errors.Is(e.wrong, fs.ErrExist) && e.cmd.Flags().Lookup("force") != nil {
		text += "; --force replaces it"
	}
	return text
}

// flagNames replaces the names of further options in a sentence.
func flagNames(cmd *cobra.Command, sentence string) string {
	return regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b`).ReplaceAllStringFunc(sentence, func(word string) string {
		if flag := flagName(cmd, word); cmd.Flags().Lookup(flag) != nil {
			return "--" + flag
		}
		return word
	})
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

// flagName finds the flag for an option. What a template lists in one attribute,
// in the plural, a command line gives in one flag at a time; and Packer keeps
// "name" for itself.
func flagName(cmd *cobra.Command, name string) string {
	name = strings.ReplaceAll(name, "_", "-")
	for _, flag := range []string{name, strings.TrimSuffix(name, "s"), strings.TrimPrefix(name, "image-")} {
		if cmd.Flags().Lookup(flag) != nil {
			return flag
		}
	}
	return name
}
