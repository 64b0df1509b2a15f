package command

import (
	"fmt"
	"os"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func (p *Program) report(args []string) error {
	flags := pflag.NewFlagSet("report", pflag.ContinueOnError)
	nonce := flags.String("nonce", "", "")
	out := flags.String("out", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	data, err := reportData(*nonce)
	if err != nil {
		return err
	}
	if *out == "" && isTerminal(p.Stdout) {
		return fmt.Errorf("%w: a report is binary: give --out FILE or redirect standard output", errUsage)
	}
	evidence, err := report.Get(p.Providers, data)
	if err != nil {
		return fmt.Errorf("get attestation report: %w", err)
	}
	extended := slices.Concat(evidence.Report, evidence.Certificates)
	if *out == "" {
		_, err = p.Stdout.Write(extended)
		return err
	}
	return renameio.WriteFile(*out, extended, 0o644)
}

// reportData returns what the chip is to sign for a nonce: never the bytes of a
// caller, which could be another transcript's.
func reportData(text string) (data [report.DataSize]byte, err error) {
	if text == "" {
		return data, fmt.Errorf("%w: --nonce is missing: %d to %d bytes that the verifier has just drawn", errUsage, wire.MinReportNonce, wire.MaxReportNonce)
	}
	nonce, err := wire.ParseReportNonce(text)
	if err != nil {
		return data, fmt.Errorf("%w: --nonce: %w", errUsage, err)
	}
	return wire.ReportData(nonce), nil
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
