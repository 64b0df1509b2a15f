package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// noArgs wants none: an argument is mostly a flag without its dashes.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%q takes no arguments, but got %q; flags begin with two dashes", cmd.CommandPath(), args[0])
	}
	return nil
}

// oneArg wants one argument, and says which: by the command's own line of use.
func oneArg(cmd *cobra.Command, args []string) error { return wantArgs(cmd, args, 1) }

// twoArgs wants two.
func twoArgs(cmd *cobra.Command, args []string) error { return wantArgs(cmd, args, 2) }

// threeArgs wants three.
func threeArgs(cmd *cobra.Command, args []string) error { return wantArgs(cmd, args, 3) }

// oneOrTwoArgs wants one, and takes another.
func oneOrTwoArgs(cmd *cobra.Command, args []string) error {
	return wantArgs(cmd, args, max(1, min(2, len(args))))
}

func wantArgs(cmd *cobra.Command, args []string, count int) error {
	if len(args) != count {
		return usageErrorf("got %d arguments, want %q", len(args), cmd.UseLine())
	}
	if slices.Contains(args, "") {
		return usageErrorf("the argument is empty, want %q", cmd.UseLine())
	}
	return nil
}
