package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
)

func newKeyDigestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key-digest KEY",
		Short: "Print the digest of an ID or author key",
		Long: `Print the SHA-384 digest of an ECDSA P-384 key, public or private, as the ID key
and author key digests of an attestation report carry it. KEY is a file in PEM or
DER, or the bytes of a point alone; a point may be compressed.`,
		Example: "  snpguard key-digest id.pem",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := readKey(args[0], idblock.ParsePublicKey)
			if err != nil {
				return err
			}
			digest, err := idblock.KeyDigest(key)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%x\n", digest)
			return err
		},
	}
}
