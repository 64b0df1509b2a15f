// Package manpage writes the man pages of programs that are made of cobra
// commands. Packages ask each program for its own.
package manpage

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// NewCommand returns the hidden command "man DIRECTORY" of a program, which writes
// a page of a section for each of its commands. SOURCE_DATE_EPOCH sets the date of
// the pages.
func NewCommand(root *cobra.Command, section string) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write man pages",
		Example: "  " + root.Name() + " man /usr/local/share/man/man" + section,
		Args:    oneDirectory,
		Hidden:  true,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root.DisableAutoGenTag = true // which would be the date of today
			return doc.GenManTree(root, &doc.GenManHeader{
				Section: section, Source: "SnpGuard " + version.String(), Manual: "SnpGuard",
			}, args[0])
		},
	}
}

func oneDirectory(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("got %d arguments, want one: the directory for the man pages", len(args))
	}
	return nil
}
