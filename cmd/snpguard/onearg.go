package main

import "github.com/spf13/cobra"

// oneArg wants one argument, and says which: by the command's own line of use.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageErrorf("%d arguments are given, want %q", len(args), cmd.UseLine())
	}
	if args[0] == "" {
		return usageErrorf("the argument is empty, want %q", cmd.UseLine())
	}
	return nil
}
