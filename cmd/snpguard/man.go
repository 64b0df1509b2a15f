package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// newManCommand makes the command with which packages write their man pages.
func newManCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write man pages",
		Example: "  snpguard man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		Hidden:  true,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root.DisableAutoGenTag = true // which would be the date; SOURCE_DATE_EPOCH sets that of the page
			return doc.GenManTree(root, &doc.GenManHeader{
				Title: "SNPGUARD", Section: "1", Source: "SnpGuard " + version.String(), Manual: "SnpGuard",
			}, args[0])
		},
	}
}
