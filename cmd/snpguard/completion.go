package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// addCompletions lets shells complete what has a known set of values: types of
// vCPUs, roles, and the names of images and instances, which the service is asked for.
func addCompletions(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"vcpu-type": vcpuTypeNames(),
		"role":      {string(wire.RoleRead), string(wire.RoleRegister), string(wire.RoleApprove), string(wire.RoleAdmin)},
	} {
		if cmd.Flags().Lookup(name) != nil {
			// An error means that the flag is missing or has a completion already.
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if words := strings.Fields(cmd.Use); len(words) > 1 && words[1] == "IMAGE" {
		cmd.ValidArgsFunction = completion(imageNames)
	} else if len(words) > 1 && words[1] == "INSTANCE" {
		cmd.ValidArgsFunction = completion(instanceNames)
	}
	for _, sub := range cmd.Commands() {
		addCompletions(sub)
	}
}

func vcpuTypeNames() []string {
	var names []string
	for _, t := range measure.VCPUTypes() {
		names = append(names, t.Name)
	}
	return names
}

// maxCompleted is how many names a menu is worth.
const maxCompleted = 200

// completion completes the first argument by names that the service has. Without a
// service there are none: nobody reads an error while a word is completed.
func completion(names func(cmd *cobra.Command, service *connected, begun string) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		service, err := connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := names(cmd, service, begun)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.DeleteFunc(found, func(name string) bool {
			// What would do things to a terminal or the shell's menu is left out.
			return !strings.HasPrefix(name, begun) || safe(name) != name
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

func imageNames(cmd *cobra.Command, service *connected, _ string) ([]string, error) {
	images, err := service.Images(cmd.Context(), client.ImageFilter{})
	var names []string
	for _, image := range images {
		names = append(names, image.Name)
	}
	return names, err
}

// errEnough ends a list.
var errEnough = errors.New("enough")

// instanceNames also has those that were deleted where it is they that are meant.
func instanceNames(cmd *cobra.Command, service *connected, begun string) ([]string, error) {
	var names []string
	f := client.InstanceFilter{Search: begun, Deleted: cmd.Name() == "undelete"}
	err := service.Instances(cmd.Context(), f, func(i *wire.Instance) error {
		if names = append(names, i.Name); len(names) == maxCompleted {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return names, err
}
