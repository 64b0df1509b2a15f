package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// fetchResult is the JSON that "snpguard kds fetch" prints.
type fetchResult struct {
	Product       string     `json:"product"`
	ChipID        string     `json:"chip_id"` // as KDS has it
	TCB           snp.TCB    `json:"tcb"`
	VCEKNotAfter  time.Time  `json:"vcek_not_after"`
	ChainNotAfter time.Time  `json:"chain_not_after"` // of the ASK
	CRLNextUpdate *time.Time `json:"crl_next_update,omitempty"`
}

func (c *fetchedChip) print(cmd *cobra.Command, asJSON bool) error {
	result := fetchResult{
		Product: string(c.key.Product), ChipID: fmt.Sprintf("%x", c.key.ChipID[:c.key.Product.HardwareIDSize()]), TCB: c.key.TCB,
		VCEKNotAfter: c.vcek.NotAfter.UTC(), ChainNotAfter: c.chain.ASK.NotAfter.UTC(),
	}
	if c.crl != nil {
		next := c.crl.NextUpdate.UTC()
		result.CRLNextUpdate = &next
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, result)
	}
	fmt.Fprintln(out, chipLine(c.key.Product, c.key.ChipID, c.key.TCB))
	fmt.Fprintf(out, "VCEK   valid until %s\n", stamp(result.VCEKNotAfter))
	_, err := fmt.Fprintf(out, "chain  valid until %s\n", stamp(result.ChainNotAfter))
	if result.CRLNextUpdate != nil {
		_, err = fmt.Fprintf(out, "CRL    next by %s\n", stamp(*result.CRLNextUpdate))
	}
	return err
}
