package main

import (
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

func showRelease(t io.Writer, r *wire.Release) {
	fmt.Fprintf(t, "release\t%s\nstate\t%s\n", r.ID, safe(string(r.State)))
	showDecisions(t, r)
	fmt.Fprintf(t, "content\t%s\ncreated\t%s\nguest policy\t%s\nguest SVN\t%d\n", safe(r.ContentHash), stamp(r.CreatedAt), safe(r.GuestPolicy), r.GuestSVN)
	fmt.Fprintf(t, "command line\t%s\n", safe(r.Cmdline))
	if len(r.Policy) > 0 && string(r.Policy) != "null" {
		fmt.Fprintf(t, "tighter policy\trevision %d: %s\n", r.Revision, safe(string(r.Policy)))
	}
	for _, a := range r.Artifacts {
		fmt.Fprintf(t, "%s\t%s, SHA-256 %s\n", safe(a.Name), size.Text(a.Size), safe(a.SHA256))
	}
	for _, v := range r.Variants {
		fmt.Fprintf(t, "%dx%s\t%s\n", v.VCPUs, safe(v.VCPUType), safe(v.Measurement))
	}
	showProvenance(t, r.Provenance)
	for _, f := range r.Findings {
		fmt.Fprintf(t, "finding\t%s%s: %s: %s\n", safe(f.Severity), acceptedBy(f), safe(f.Code), safe(f.Text))
	}
	if r.Findings == nil {
		fmt.Fprintf(t, "findings\tnot reported\n")
	}
}

func showDecisions(t io.Writer, r *wire.Release) {
	fmt.Fprintf(t, "proposed by\t%s\n", safe(r.ProposedBy))
	for _, v := range r.Verifications {
		fmt.Fprintf(t, "verified by\t%s, %s, from %d packages, agent %s\n", safe(v.By), stamp(v.At), len(v.Packages), safe(v.Agent))
	}
	if r.ApprovedAt != nil {
		verified := "not verified before"
		if r.VerifiedBy != "" {
			verified = "verified before by " + safe(r.VerifiedBy)
		}
		fmt.Fprintf(t, "approved by\t%s, %s, %s\n", safe(r.ApprovedBy), stamp(*r.ApprovedAt), verified)
	}
	if r.DecidedAt != nil {
		reason := ""
		if r.Reason != "" {
			reason = ": " + safe(r.Reason)
		}
		fmt.Fprintf(t, "last decision\tby %s, %s%s\n", safe(r.DecidedBy), stamp(*r.DecidedAt), reason)
	}
}

// showProvenance shows what the service has not checked.
func showProvenance(t io.Writer, p *wire.Provenance) {
	if p == nil {
		return
	}
	for _, one := range p.Packages {
		fmt.Fprintf(t, "package\tsays the registrant: %s %s %s, SHA-256 %s\n", safe(one.Name), safe(one.Version), safe(one.Architecture), safe(one.SHA256))
	}
	if a := p.Archive; a != nil {
		fmt.Fprintf(t, "archive\tsays the registrant: %s %s of %s, signed by %s\n", safe(a.Origin), safe(a.Suite), stamp(a.Date), safe(a.SignedBy))
	}
}
