package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

func newSimCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "SIMULATED AMD, for tests and demos",
		Long: `A SIMULATED AMD, for tests and demos on machines without SEV-SNP.

Its root proves nothing: anyone who can read the state file can sign any report.
It is trusted only when given to --insecure-trust-root.`,
		Example: `  snpguard sim kds --state sim.json --root-out sim-root.pem
  snpguard sim report --state sim.json --product Genoa --out report.bin`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSimKDSCommand(), newSimReportCommand())
	return cmd
}

// maxSimStateSize bounds the state file of a simulated AMD, in bytes.
const maxSimStateSize = 1 << 20

// openSim reads the state of a simulated AMD. Where there is none it makes a new
// AMD, with sim.New in some seconds, and keeps it; with a nil newAMD that is an error.
func openSim(stderr io.Writer, path string, newAMD func(...snp.Product) (*sim.AMD, error)) (*sim.AMD, error) {
	if path == "" {
		return nil, usageErrorf("--state is missing: the file with the keys of the simulated AMD")
	}
	data, err := readBounded(path, maxSimStateSize)
	switch {
	case err == nil:
		amd, err := sim.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(stderr, "snpguard: SIMULATED AMD of %s; nothing that it signs is genuine\n", path)
		return amd, nil
	case !errors.Is(err, fs.ErrNotExist) || newAMD == nil:
		return nil, err
	}
	fmt.Fprintf(stderr, "snpguard: making the keys of a SIMULATED AMD in %s; nothing that it signs is genuine\n", path)
	amd, err := newAMD()
	if err != nil {
		return nil, err
	}
	if data, err = amd.Marshal(); err != nil {
		return nil, err
	}
	return amd, renameio.WriteFile(path, data, 0o600)
}

// writePublic writes a file that everybody may read, whole or not at all.
func writePublic(path string, data []byte) error {
	return renameio.WriteFile(path, data, 0o644)
}
