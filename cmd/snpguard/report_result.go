package main

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
)

// verifyResult is the JSON that "snpguard report verify" prints.
type verifyResult struct {
	Genuine    bool           `json:"genuine"`
	Acceptable bool           `json:"acceptable"`
	Time       time.Time      `json:"time"`                 // at which the certificates had to be valid
	NotJudged  []string       `json:"not_judged,omitempty"` // fields that no policy was given for
	Refusal    *shownRefusal  `json:"refusal,omitempty"`
	Signer     *shownSigner   `json:"signer,omitempty"`
	Rules      attest.Results `json:"rules,omitempty"` // failing ones first
}

// shownRefusal says why a report is not genuine.
type shownRefusal struct {
	Reason   attest.Reason `json:"reason"`
	Message  string        `json:"message"`
	Subject  string        `json:"subject,omitempty"`
	Expected string        `json:"expected,omitempty"`
	Found    string        `json:"found,omitempty"`
}

// shownSigner says who vouches for a genuine report.
type shownSigner struct {
	Product     string    `json:"product"`
	ProductName string    `json:"product_name"` // of the certificate
	SigningKey  string    `json:"signing_key"`
	CSPID       string    `json:"csp_id,omitempty"`
	ChipID      string    `json:"chip_id"`
	Chain       []string  `json:"chain"` // names, from the signing key up
	Root        string    `json:"root"`
	RootSHA256  string    `json:"root_sha256"`
	AMDRoot     bool      `json:"amd_root"`
	NotBefore   time.Time `json:"not_before"` // of the signing key's certificate
	NotAfter    time.Time `json:"not_after"`
	ReportedTCB any       `json:"reported_tcb"`
}

func (r *verifyResult) refuse(refusal *attest.Refusal) {
	r.Refusal = &shownRefusal{
		Reason: refusal.Reason, Message: refusal.Error(),
		Subject: refusal.Subject, Expected: refusal.Expected, Found: refusal.Found,
	}
}

// judge evaluates the policy on a genuine report.
func (r *verifyResult) judge(v *attest.Verified, policy *attest.Policy) {
	results := attest.Evaluate(v, policy)
	slices.SortStableFunc(results, func(a, b attest.Result) int { return order(a) - order(b) })
	leaf := v.Chain[0]
	r.Genuine, r.Acceptable, r.Rules = true, results.Acceptable(), results
	r.Signer = &shownSigner{
		Product: string(v.Product), ProductName: v.ProductName, SigningKey: v.SigningKey.String(), CSPID: v.CSPID,
		ChipID: attest.Bytes64(v.Report.ChipID).String(), Chain: names(v.Chain),
		Root: v.Root.Name, RootSHA256: hex.EncodeToString(v.Root.Fingerprint[:]), AMDRoot: v.Root.AMD,
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), ReportedTCB: v.ReportedTCB,
	}
}

// order puts failing rules first.
func order(r attest.Result) int {
	if r.Verdict == attest.Pass {
		return 1
	}
	return 0
}

func names(chain []*x509.Certificate) []string {
	var all []string
	for _, cert := range chain {
		all = append(all, cert.Subject.CommonName)
	}
	return all
}

func (r *verifyResult) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if r.Refusal != nil {
		fmt.Fprintf(w, "genuine\tno: %s\nreason\t%s\nacceptable\tno: only genuine reports are judged\n",
			safe(r.Refusal.Message), string(r.Refusal.Reason))
		return w.Flush()
	}
	fmt.Fprintf(w, "genuine\tyes\nacceptable\t%s\n", yesNo(r.Acceptable))
	if r.NotJudged != nil {
		fmt.Fprintf(w, "not judged\t%s: no --policy was given\n", strings.Join(r.NotJudged, ", "))
	}
	r.Signer.print(w)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return printRules(out, r.Rules)
}

func (s *shownSigner) print(w io.Writer) {
	fmt.Fprintf(w, "product\t%s (%s)\n", s.Product, safe(s.ProductName))
	fmt.Fprintf(w, "signing key\t%s, valid %s to %s\n", s.SigningKey, stamp(s.NotBefore), stamp(s.NotAfter))
	if s.CSPID != "" {
		fmt.Fprintf(w, "CSP ID\t%s\n", safe(s.CSPID))
	}
	if strings.Trim(s.ChipID, "0") != "" {
		fmt.Fprintf(w, "chip ID\t%s\n", s.ChipID)
	}
	fmt.Fprintf(w, "reported TCB\t%v\n", s.ReportedTCB)
	for i, name := range s.Chain {
		fmt.Fprintf(w, "certificate %d\t%s\n", i+1, safe(name))
	}
	owner := "AMD's"
	if !s.AMDRoot {
		owner = "NOT AMD's, given by --insecure-trust-root"
	}
	fmt.Fprintf(w, "root\t%s, SHA-256 %s\n", owner, s.RootSHA256)
}

// printRules prints the table of rules.
func printRules(out io.Writer, rules attest.Results) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "verdict\trule\texpected\tfound")
	for _, rule := range rules {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", rule.Verdict, rule.Name, safe(rule.Expected), safe(rule.Found))
	}
	return w.Flush()
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
