package main

import (
	"fmt"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

func newKDSExportCommand() *cobra.Command {
	var o kdsOptions
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the cache of AMD's certificates to one file",
		Long: `Write the cache of AMD's certificates to one file, a tar.gz with a manifest, for
"snpguard kds import" on a site that cannot reach KDS. Entries that no longer pass
the checks are left out and named on standard error. The same cache gives the same
bytes.`,
		Example: "  snpguard kds export kds-cache.tar.gz",
		Args:    oneArg,
		RunE:    func(cmd *cobra.Command, args []string) error { return runKDSExport(cmd, args[0], &o) },
	}
	o.addCacheFlags(cmd)
	return cmd
}

func runKDSExport(cmd *cobra.Command, path string, o *kdsOptions) error {
	if path == "-" {
		return usageErrorf("cannot write to standard output; give a file name instead of \"-\"")
	}
	client, err := o.client(cmd)
	if err != nil {
		return err
	}
	pending, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer pending.Cleanup() //nolint:errcheck // nothing is left to do about it
	exported, left, err := client.Export(cmd.Context(), pending)
	if err != nil {
		return err
	}
	for _, in := range left {
		fmt.Fprintf(cmd.ErrOrStderr(), "snpguard: left out %s: %s\n", in.Key, safe(in.Err.Error()))
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "exported %s\n", summary(exported))
	return err
}
