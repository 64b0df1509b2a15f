package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// verifyOptions are the flags of "snpguard report verify" as they were given.
type verifyOptions struct {
	vek, ask, ark, certs, kds string
	trustRoot                 string
	policy                    string
	allowDebug                bool
	reportData, measurement   string
	nonce                     string
	time                      string
	json                      bool

	asked bool // whether the chain was not enough that flags or the report gave
}

func newReportVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE [--vek CERT --ask CERT --ark CERT | --certs DIR | --kds URL] [flags]",
		Short: "Say whether an attestation report is genuine and acceptable",
		Long: `Say whether an attestation report is genuine (signed by a key that AMD
certified) and acceptable (as a policy requires).

Certificates are PEM or DER. Those of an extended report are used before --certs
and --kds; AMD's own, ASK, ASVK and ARK, are part of this program and may be left
out. Nothing is fetched without --kds, which keeps what it fetched where
"snpguard kds" does and refuses what AMD revoked, also of certificates that came
with the report: when those are enough and KDS cannot be reached, a warning says
that revocation was not checked. AMD's roots alone count, unless
--insecure-trust-root gives others in their place. See docs/report-verification.md.

Without --policy, the guest must not allow debugging or a migration agent, and
nothing else is asked, which the output says. With one, everything that it asks;
VMPL 0, a VCEK and the TCB floors that come with this program included where it
does not say otherwise: see docs/report-policy.md. --measurement and
--report-data are asked in addition, and so is --nonce: the nonce with which
"snpguard-agent report" got the report.

The rules are printed failing ones first. The JSON is one object: "genuine" and
"acceptable"; when not genuine, "refusal" with a stable "reason", "message",
"subject", "expected" and "found"; when genuine, "signer" (product, signing_key,
csp_id, root, root_sha256, amd_root, ...) and "rules", each with "name",
"verdict" (pass or fail), "expected" and "found"; "not_judged" without --policy.

Exit codes: 0 genuine and acceptable, 1 not, 2 wrong command line, 3 a file, a
policy or KDS failed.`,
		Example: `  snpguard report verify report.bin --vek vcek.der --policy policy.json
  snpguard report verify extended.bin --nonce "$NONCE" --measurement "$(cat measurement)"
  snpguard report verify old.bin --certs certs/ --time 2025-01-31T00:00:00Z --json`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return runReportVerify(cmd, args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.vek, "vek", "", "file with the VCEK or VLEK certificate")
	f.StringVar(&o.ask, "ask", "", "file with the ASK or ASVK certificate (default AMD's)")
	f.StringVar(&o.ark, "ark", "", "file with the ARK certificate (default the trusted one)")
	f.StringVar(&o.certs, "certs", "", "directory with certificates, of which the right ones are taken")
	f.StringVar(&o.kds, "kds", "", "URL of the Key Distribution Service to fetch from, AMD's is https://kdsintf.amd.com")
	addTrustRootFlag(cmd, &o.trustRoot)
	f.StringVar(&o.policy, "policy", "", "JSON file with the policy")
	f.BoolVar(&o.allowDebug, "allow-debug", false, "accept guests that the host may debug")
	f.StringVar(&o.reportData, "report-data", "", "REPORT_DATA to ask for, 128 hexadecimal digits")
	f.StringVar(&o.nonce, "nonce", "", "nonce that snpguard-agent was given, as hexadecimal digits or base64; excludes --report-data")
	f.StringVar(&o.measurement, "measurement", "", "MEASUREMENT to ask for, 96 hexadecimal digits")
	f.StringVar(&o.time, "time", "", "time at which the certificates must be valid, for example 2026-01-31T00:00:00Z (default now)")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runReportVerify(cmd *cobra.Command, path string, o *verifyOptions) error {
	at, err := o.at()
	if err != nil {
		return err
	}
	if err := o.checkSources(); err != nil {
		return err
	}
	policy, err := o.reportPolicy()
	if err != nil {
		return err
	}
	roots, err := o.roots()
	if err != nil {
		return err
	}
	result := verifyResult{Time: at}
	verified, err := o.verify(cmd, path, roots, at)
	if err == nil && o.kds != "" && !o.asked {
		err = o.checkGiven(cmd, roots, verified)
	}
	var refusal *attest.Refusal
	switch {
	case errors.As(err, &refusal):
		result.refuse(refusal)
		if refusal.Reason == attest.ReasonNoCertificate && o.certs == "" && o.kds == "" {
			fmt.Fprintln(cmd.ErrOrStderr(), "snpguard: give the certificates with --vek and --ask, --certs or --kds")
		}
	case err != nil:
		return err
	default:
		result.judge(verified, policy)
		if o.policy == "" {
			result.NotJudged = []string{"products", "signing_keys", "vmpls", "tcb_floors"}
		}
	}
	if err := result.print(cmd.OutOrStdout(), o.json); err != nil {
		return err
	}
	if !result.Acceptable {
		return errNo
	}
	return nil
}

// verify decides whether the report in a file is genuine. A *attest.Refusal says why
// it is not; any other error means that it was not decided.
func (o *verifyOptions) verify(cmd *cobra.Command, path string, roots *attest.Roots, at time.Time) (*attest.Verified, error) {
	data, err := readReport(cmd, path)
	if err != nil && !errors.Is(err, snp.ErrReportFormat) {
		return nil, err
	}
	var report *snp.Report
	var table *snp.CertTable
	if err == nil {
		report, table, err = snp.SplitExtended(data)
	}
	if err != nil {
		return nil, &attest.Refusal{Reason: attest.ReasonReportFormat, Err: err}
	}
	return o.verifyReport(cmd.Context(), report, table, roots, at)
}

// verifyReport decides by the certificates that there are.
func (o *verifyOptions) verifyReport(ctx context.Context, report *snp.Report, table *snp.CertTable, roots *attest.Roots, at time.Time) (*attest.Verified, error) {
	verifier := attest.NewVerifier(roots)
	chain, err := o.givenChain(report, table)
	if err != nil {
		return nil, err
	}
	verified, refusal := verifier.Verify(report, chain, at)
	if refusal == nil || !mayHaveBetter(refusal) {
		return verified, refusal
	}
	o.asked = true
	source, err := o.source(roots)
	if err != nil {
		return nil, err
	}
	if source == nil {
		return nil, refusal
	}
	chains, err := source.chains(ctx, report, chain.VEK)
	if none := (*attest.Refusal)(nil); err != nil && !errors.As(err, &none) {
		return nil, err
	}
	for _, chain := range chains {
		verified, other := verifier.Verify(report, chain, at)
		if other == nil {
			return verified, source.accept(ctx, verified)
		}
		if err == nil {
			err = other
		}
	}
	// The first refusal says most, unless it was that there is no certificate.
	if err != nil && errors.Is(refusal, attest.ReasonNoCertificate) {
		refusal = err
	}
	return nil, refusal
}

// mayHaveBetter reports whether other certificates could make a report genuine
// that was refused: a host can hand on certificates that are missing, stale or
// wrong.
func mayHaveBetter(refusal error) bool {
	for _, final := range []attest.Reason{
		attest.ReasonSignature, attest.ReasonSignatureRange, attest.ReasonChipKeyMasked, attest.ReasonChipIDMasked,
	} {
		if errors.Is(refusal, final) {
			return false
		}
	}
	return true
}
