package main

import (
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func newReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show and verify attestation reports",
		Long: `Show and verify SEV-SNP attestation reports.

FILE is a report of 1184 bytes, or an extended report: the same with the
certificate table behind it that the host handed to the guest.`,
		Example: `  snpguard report show report.bin
  snpguard report verify report.bin --kds https://kdsintf.amd.com`,
		Args: wantsCommand,
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
