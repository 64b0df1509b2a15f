package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// kdsFetchOptions are the flags of "snpguard kds fetch" as they were given.
type kdsFetchOptions struct {
	kdsOptions
	report             string
	product, chip, tcb string
	noCRL              bool
	out                string
	json               bool
}

func newKDSFetchCommand() *cobra.Command {
	var o kdsFetchOptions
	cmd := &cobra.Command{
		Use:   "fetch (--report FILE | --product PRODUCT --chip-id HEX --tcb TCB) [--out DIR] [flags]",
		Short: "Fetch the certificates of one chip",
		Long: `Fetch the VCEK of one chip, the certificates above it and the revocation list,
unless they are in the cache. Chip and TCB are those of a report, or as given; a
report of version 2 does not say its product, so it needs --product.

With --out they are also written as files: vcek.der, chain.pem (ASK, then ARK) and
crl.der. The JSON is one object with "product", "chip_id", "tcb" and the times
"vcek_not_after", "chain_not_after" and "crl_next_update".

Exit code 1 means that KDS does not know the chip.`,
		Example: `  snpguard kds fetch --report report.bin --out certs/
  snpguard kds fetch --product Genoa --chip-id "$CHIP_ID" --tcb bootloader=10,tee=0,snp=23,microcode=84`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runKDSFetch(cmd, &o) },
	}
	o.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.report, "report", "", "attestation report to fetch the certificates for")
	f.StringVar(&o.product, "product", "", "product line: Milan, Genoa or Turin")
	f.StringVar(&o.chip, "chip-id", "", "chip ID in hexadecimal")
	f.StringVar(&o.tcb, "tcb", "", "TCB version, such as bootloader=3,tee=0,snp=8,microcode=115; Turin also has fmc")
	f.BoolVar(&o.noCRL, "no-crl", false, "do not fetch revocation lists")
	f.StringVar(&o.out, "out", "", "directory to write the files to")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runKDSFetch(cmd *cobra.Command, o *kdsFetchOptions) error {
	key, err := o.key(cmd)
	if err != nil {
		return err
	}
	client, err := o.client(cmd)
	if err != nil {
		return err
	}
	defer client.Close()
	fetched := fetchedChip{key: key}
	if err := fetched.fetch(cmd, client, !o.noCRL); err != nil {
		return sayNo(cmd.ErrOrStderr(), err, kds.ErrUnknownChip)
	}
	if o.out != "" {
		if err := fetched.write(o.out); err != nil {
			return err
		}
	}
	return fetched.print(cmd, o.json)
}

// key returns what the flags or the report name.
func (o *kdsFetchOptions) key(cmd *cobra.Command) (kds.Key, error) {
	switch {
	case o.report != "" && (o.chip != "" || o.tcb != ""):
		return kds.Key{}, usageErrorf("--report excludes --chip-id and --tcb: the report says both")
	case o.report != "":
		return o.reportKey(cmd)
	case o.chip == "" || o.tcb == "" || o.product == "":
		return kds.Key{}, usageErrorf("the chip is missing: give --report with one of its reports, or --product, --chip-id and --tcb")
	}
	p, err := snp.ParseProduct(o.product)
	if err != nil {
		return kds.Key{}, usageErrorf("--product: %w", err)
	}
	id, err := kds.ParseChipID(p, o.chip)
	if err != nil {
		return kds.Key{}, usageErrorf("--chip-id: %w", err)
	}
	tcb, err := kds.ParseTCB(p, o.tcb)
	if err != nil {
		return kds.Key{}, usageErrorf("--tcb: %w", err)
	}
	key, err := kds.VCEKKey(p, id, tcb)
	if err != nil {
		return kds.Key{}, usageErrorf("--chip-id: %w", err)
	}
	return key, nil
}

// reportKey returns the VCEK that a report needs.
func (o *kdsFetchOptions) reportKey(cmd *cobra.Command) (kds.Key, error) {
	report, _, err := openReport(cmd, o.report)
	if err != nil {
		return kds.Key{}, err
	}
	if report.SigningKey != snp.SignedByVCEK {
		fmt.Fprintf(cmd.ErrOrStderr(), "snpguard: %s is signed by a %s, which comes with the report and not from KDS\n", o.report, report.SigningKey)
		return kds.Key{}, errNo
	}
	p, err := o.reportProduct(report)
	if err != nil {
		return kds.Key{}, err
	}
	tcb, err := snp.ParseTCB(p, report.ReportedTCB)
	if err != nil {
		return kds.Key{}, fmt.Errorf("%s: %w", o.report, err)
	}
	key, err := kds.VCEKKey(p, report.ChipID, tcb)
	if err != nil {
		return kds.Key{}, fmt.Errorf("%s: %w", o.report, err)
	}
	return key, nil
}

func (o *kdsFetchOptions) reportProduct(report *snp.Report) (snp.Product, error) {
	if report.CPUID != nil {
		p, err := report.CPUID.Product()
		if err == nil && o.product != "" && o.product != string(p) {
			return "", usageErrorf("--product: the report is of a %s", p)
		}
		return p, err
	}
	if o.product == "" {
		return "", usageErrorf("--product is missing: a report of version %d does not say it", report.Version)
	}
	p, err := snp.ParseProduct(o.product)
	if err != nil {
		return "", usageErrorf("--product: %w", err)
	}
	return p, nil
}

// fetchedChip is what "snpguard kds fetch" has found.
type fetchedChip struct {
	key   kds.Key
	vcek  *x509.Certificate
	chain kds.Chain
	crl   *x509.RevocationList // nil: not asked for
}

func (c *fetchedChip) fetch(cmd *cobra.Command, client *kds.Client, withCRL bool) error {
	var err error
	if c.vcek, err = client.VCEK(cmd.Context(), kds.Operator(), c.key); err != nil {
		return err
	}
	if c.chain, err = client.Chain(cmd.Context(), c.key.Product, snp.SignedByVCEK); err != nil || !withCRL {
		return err
	}
	c.crl, err = client.CRL(cmd.Context(), c.key.Product, snp.SignedByVCEK)
	return err
}

func (c *fetchedChip) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string][]byte{"vcek.der": c.vcek.Raw, "chain.pem": c.chain.PEM()}
	if c.crl != nil {
		files["crl.der"] = c.crl.Raw
	}
	for name, data := range files {
		if err := writePublic(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return nil
}
