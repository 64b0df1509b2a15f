package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

func newKDSStatusCommand() *cobra.Command {
	var o kdsOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List what the cache of AMD's certificates holds",
		Long: `List what the cache of AMD's certificates holds, with age and size, and check
each entry as if it had just been fetched. Nothing is fetched.

The JSON is an array of objects with "name", "kind" (vcek, chain, crl), "product",
"signing_key", "chip_id", "tcb", "size", "fetched_at", "not_after", "crl" (number,
this_update, next_update, revoked), "usable" and, when not usable, "problem".`,
		Example: "  snpguard kds status --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runKDSStatus(cmd, &o, asJSON) },
	}
	o.addCacheFlags(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runKDSStatus(cmd *cobra.Command, o *kdsOptions, asJSON bool) error {
	client, err := o.client(cmd)
	if err != nil {
		return err
	}
	now := time.Now()
	entries := []shownEntry{}
	err = client.Inspect(cmd.Context(), func(in kds.Inspected) error {
		entries = append(entries, newShownEntry(in, now))
		return nil
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), entries)
	}
	return printEntries(cmd.OutOrStdout(), entries, now)
}
