package main

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

func newReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show and verify attestation reports",
		Long: `Show and verify SEV-SNP attestation reports.

FILE is a report of 1184 bytes, or an extended report: the same with the
certificate table behind it that the host handed to the guest.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReportShowCommand(), newReportVerifyCommand())
	return cmd
}

// readReportFile reads an extended report, or a little more than one can be, so
// that a file that is too long is refused as a report and not read.
func readReportFile(path string) ([]byte, error) {
	return readBounded(path, snp.ReportSize+snp.MaxCertTableSize+1)
}

// printable returns text from outside so that a terminal only shows it: quoted
// when a character in it could do anything else.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}
