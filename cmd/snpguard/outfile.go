package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkOutputs refuses "-" where a file is written: elsewhere it stands for standard
// output, and a file of that name is hard to get rid of. What is written here is
// checked as a whole before it appears, which a stream cannot be.
func checkOutputs(cmd *cobra.Command) error {
	outputs := []string{"bundle", "out", "staging", "extract", "id-block-out", "id-auth-out", "root-out", "url-out"}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.String() == "-" && slices.Contains(outputs, f.Name) {
			err = usageErrorf("--%s: cannot write to standard output; give a file name instead of \"-\"", f.Name)
		}
	})
	return err
}

// addForceFlag adds the flag without which no existing file is replaced.
func addForceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "replace the file of --bundle if it exists")
}

// checkNew wants the bundle that is to be written not to exist, unless it is to be
// replaced: guests may be launched from it.
func checkNew(bundle string, force bool) error {
	if bundle == "" {
		return nil
	}
	if err := checkNewFile(bundle, force); err != nil {
		return fmt.Errorf("--bundle: %w", err)
	}
	return nil
}

// checkNewFile is checkNew for any file.
func checkNewFile(path string, force bool) error {
	if path == "-" {
		return usageErrorf("cannot write to standard output; give a file name instead of \"-\"")
	}
	if _, err := os.Lstat(path); !force && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists; --force replaces it", path)
	}
	return nil
}
