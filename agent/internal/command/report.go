package command

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
)

// minNonce is the shortest nonce in bytes: shorter ones repeat.
const minNonce = 16

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

// reportData reads a nonce: hexadecimal digits, otherwise base64.
func reportData(text string) (data [report.DataSize]byte, err error) {
	if text == "" {
		return data, fmt.Errorf("%w: --nonce is missing: %d to %d bytes that the verifier has just drawn", errUsage, minNonce, len(data))
	}
	nonce, err := hex.DecodeString(text)
	if err != nil {
		if nonce, err = base64.StdEncoding.DecodeString(text); err != nil {
			return data, fmt.Errorf("%w: --nonce is neither hexadecimal nor base64", errUsage)
		}
	}
	if len(nonce) < minNonce || len(nonce) > len(data) {
		return data, fmt.Errorf("%w: --nonce has %d bytes, want %d to %d", errUsage, len(nonce), minNonce, len(data))
	}
	copy(data[:], nonce)
	return data, nil
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
