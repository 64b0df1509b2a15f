package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/agentbin"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// flagErrors turns errors about options into errors about the flags of a command.
// What the file system says, or a program without agents, is no fault of the
// command line.
func flagErrors(cmd *cobra.Command, err error) error {
	var all []error
	usage := false
	for _, part := range option.List(err) {
		var wrong *option.Error
		switch {
		case !errors.As(part, &wrong):
			all = append(all, part)
		case errors.As(part, new(*fs.PathError)), errors.Is(part, agentbin.ErrMissing):
			all = append(all, wrong.Err)
		default:
			usage = true
			all = append(all, usageErrorf("--%s: %w", flagName(cmd, wrong.Option), wrong.Err))
		}
	}
	if joined := errors.Join(all...); usage {
		return usageError{joined}
	}
	return errors.Join(all...)
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
