package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// simReportOptions are the flags of "snpguard sim report" as they were given.
type simReportOptions struct {
	state, out              string
	product, chip, tcb      string
	reportData, measurement string
	extended                bool
}

func newSimReportCommand() *cobra.Command {
	var o simReportOptions
	cmd := &cobra.Command{
		Use:   "report --state FILE --product PRODUCT --out FILE [flags]",
		Short: "Make a report of a SIMULATED chip",
		Long: `Make an attestation report of a SIMULATED chip and sign it with its VCEK. With
--extended, the certificates follow it as a host hands them to a guest.

Chips are named: the same name and product always give the same chip.`,
		Example: `  snpguard sim report --state sim.json --product Turin --measurement "$(cat measurement)" --out report.bin`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSimReport(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.state, "state", "", "file with the keys of the simulated AMD, created if missing")
	f.StringVar(&o.out, "out", "", "file to write the report to")
	f.StringVar(&o.product, "product", string(snp.Genoa), "product line: Milan, Genoa or Turin")
	f.StringVar(&o.chip, "chip", "demo", "name of the chip")
	f.StringVar(&o.tcb, "tcb", "", "TCB version, such as bootloader=3,tee=0,snp=8,microcode=115 (default a recent one)")
	f.StringVar(&o.reportData, "report-data", "", "REPORT_DATA, 128 hexadecimal digits (default zero)")
	f.StringVar(&o.measurement, "measurement", "", "MEASUREMENT, 96 hexadecimal digits (default zero)")
	f.BoolVar(&o.extended, "extended", false, "add the certificate table")
	return cmd
}

func runSimReport(cmd *cobra.Command, o *simReportOptions) error {
	if o.out == "" {
		return usageErrorf("--out is missing: the file to write the report to")
	}
	chip, err := o.simChip()
	if err != nil {
		return usageError{err}
	}
	template := sim.ReportTemplate(chip)
	if err := o.fill(template); err != nil {
		return err
	}
	amd, err := openSim(cmd.ErrOrStderr(), o.state, sim.New)
	if err != nil {
		return err
	}
	vcek, err := amd.VCEK(chip)
	if err != nil {
		return err
	}
	data, err := vcek.Report(template)
	if err != nil {
		return err
	}
	if o.extended {
		line := amd.Line(chip.Product)
		table := snp.CertTable{VCEK: vcek.Certificate.Raw, ASK: line.ASK.Certificate.Raw, ARK: line.ARK.Certificate.Raw}
		data = append(data, table.Bytes()...)
	}
	if err := writePublic(o.out, data); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", chipLine(chip.Product, chip.ID, chip.TCB))
	return err
}

// simChip returns the chip that the flags name.
func (o *simReportOptions) simChip() (sim.Chip, error) {
	p, err := snp.ParseProduct(o.product)
	if err != nil {
		return sim.Chip{}, fmt.Errorf("--product: %w", err)
	}
	tcb := sim.RecentTCB(p)
	if o.tcb != "" {
		if tcb, err = kds.ParseTCB(p, o.tcb); err != nil {
			return sim.Chip{}, fmt.Errorf("--tcb: %w", err)
		}
	}
	return sim.NewChip(p, o.chip, tcb), nil
}

// fill puts the values of flags into a report.
func (o *simReportOptions) fill(r *snp.Report) error {
	if o.reportData != "" {
		var data attest.Bytes64
		if err := data.UnmarshalText([]byte(o.reportData)); err != nil {
			return usageErrorf("--report-data: %w", err)
		}
		r.ReportData = data
	}
	if o.measurement != "" {
		var digest attest.Bytes48
		if err := digest.UnmarshalText([]byte(o.measurement)); err != nil {
			return usageErrorf("--measurement: %w", err)
		}
		r.Measurement = digest
	}
	return nil
}

// chipLine describes a chip as "snpguard kds prefetch" reads it.
func chipLine(p snp.Product, id [snp.ChipIDSize]byte, tcb snp.TCB) string {
	return fmt.Sprintf("%s,%x,%s", p, id[:p.HardwareIDSize()], kds.FormatTCB(p, tcb))
}
