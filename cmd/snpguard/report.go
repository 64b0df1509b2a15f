package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func newReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show and verify attestation reports",
		Long: `Show and verify SEV-SNP attestation reports.

FILE is a report of 1184 bytes, or an extended report: the same with the
certificate table that the host gave to the guest after it. It may be in
hexadecimal digits or base64, in the response buffer of the AMD-SP
(SNP_GET_REPORT), in the HCL report of Azure's vTPM (NV index 0x01400001), or a
directory of configfs-tsm with outblob and auxblob; standard error says which.`,
		Example: `  snpguard report show report.bin
  snpguard report show /sys/kernel/config/tsm/report/mine
  snpguard report verify report.bin --kds https://kdsintf.amd.com`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReportShowCommand(), newReportVerifyCommand())
	return cmd
}

// openReport reads the report that a command line names. That there is none is said
// here, and is the answer "no".
func openReport(cmd *cobra.Command, path string) (*snp.Report, *snp.CertTable, error) {
	data, err := readReport(cmd, path)
	if err != nil && !errors.Is(err, snp.ErrReportFormat) {
		return nil, nil, err
	}
	if err == nil {
		var report *snp.Report
		var table *snp.CertTable
		if report, table, err = snp.SplitExtended(data); err == nil {
			return report, table, nil
		}
	}
	note(cmd, "snpguard: %s is not an attestation report: %v", path, err)
	return nil, nil, errNo
}

// readReport reads an extended report, or a little more than one can be, so that a
// file that is too long is refused as a report and not read. It comes in any of the
// forms that package snp knows. The error wraps snp.ErrReportFormat when it is the
// form that is at fault.
func readReport(cmd *cobra.Command, path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return readConfigfs(cmd, path)
	}
	data, err := readBounded(path, snp.MaxWrappedSize+1)
	if err != nil {
		return nil, err
	}
	report, form, err := snp.Unwrap(data)
	if err == nil && form != snp.Bare {
		note(cmd, "snpguard: %s: %s", path, form)
	}
	return report, err
}

// The files of a directory of configfs-tsm (Linux, Documentation/ABI/testing/configfs-tsm-report).
const (
	tsmProvider = "provider" // which platform the report is of
	tsmReport   = "outblob"
	tsmCerts    = "auxblob" // the host's certificate table; may be missing or empty
	tsmSNP      = "sev_guest"
)

// readConfigfs reads a directory of configfs-tsm, or a copy of one.
func readConfigfs(cmd *cobra.Command, dir string) ([]byte, error) {
	parts := make(map[string][]byte)
	for _, name := range []string{tsmProvider, tsmReport, tsmCerts} {
		data, err := readBounded(filepath.Join(dir, name), snp.MaxWrappedSize+1)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		parts[name] = data
	}
	provider := string(bytes.TrimSpace(parts[tsmProvider]))
	switch {
	case parts[tsmReport] == nil:
		return nil, fmt.Errorf("read %s: it is a directory without %s, want a file, or a directory of configfs-tsm", dir, tsmReport)
	case provider != "" && provider != tsmSNP:
		return nil, fmt.Errorf("%w: a report of %.40q, want one of %s", snp.ErrReportFormat, provider, tsmSNP)
	}
	note(cmd, "snpguard: %s: directory of configfs-tsm", dir)
	return append(parts[tsmReport], parts[tsmCerts]...), nil
}
