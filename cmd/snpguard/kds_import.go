package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

func newKDSImportCommand() *cobra.Command {
	var o kdsOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put an exported cache of AMD's certificates into the cache here",
		Long: `Put a cache that "snpguard kds export" wrote into the cache here. FILE may come
from anyone, and "-" is standard input: every certificate and list is checked as if
KDS had just sent it, and nothing is written unless all of it passes.

Exit code 1 means that it does not pass.`,
		Example: "  snpguard kds import kds-cache.tar.gz",
		Args:    oneArg,
		RunE:    func(cmd *cobra.Command, args []string) error { return runKDSImport(cmd, args[0], &o) },
	}
	o.addCacheFlags(cmd)
	return cmd
}

func runKDSImport(cmd *cobra.Command, path string, o *kdsOptions) error {
	client, err := o.client(cmd)
	if err != nil {
		return err
	}
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := openInput(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	keys, err := client.Import(cmd.Context(), in)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
		return sayNo(cmd.ErrOrStderr(), err, kds.ErrArchive, kds.ErrAnswer, kds.ErrCRLSignature, kds.ErrCRLStale, kds.ErrCRLRollback)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "imported %s\n", summary(keys))
	return err
}
