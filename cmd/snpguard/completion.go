package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// addCompletions lets shells complete what has a known set of values: types of
// vCPUs, roles, and the names of images, which the service is asked for.
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
		cmd.ValidArgsFunction = completeImages
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

// completeImages completes the first argument by the names of images. Without a
// service there are none: nobody reads an error while a word is completed.
func completeImages(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	service, err := connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	images, err := service.Images(cmd.Context(), client.ImageFilter{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, image := range images {
		// What would do things to a terminal or the shell's menu is left out.
		if strings.HasPrefix(image.Name, begun) && safe(image.Name) == image.Name {
			names = append(names, image.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
