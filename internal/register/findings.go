package register

import (
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// findings returns what a conversion has found and not mended, one of each code,
// the critical ones first, with those marked that the owner accepts. Nothing at all
// (nil) says that no conversion was there to ask. The error names the critical
// findings that are not accepted.
func (c *Config) findings(conversion *staging.Conversion) ([]wire.Finding, error) {
	if conversion == nil {
		return nil, nil
	}
	found := []wire.Finding{}
	more := map[string]int{}
	for _, f := range conversion.Findings {
		switch at := slices.IndexFunc(found, func(w wire.Finding) bool { return w.Code == f.Code }); {
		case f.Mended:
		case at < 0:
			found = append(found, wire.Finding{
				Code: f.Code, Severity: f.Severity, Text: shorten(f.Text()), Accepted: slices.Contains(c.AcceptFindings, f.Code),
			})
		default:
			more[f.Code]++
			if f.Severity == wire.SeverityCritical && found[at].Severity != wire.SeverityCritical {
				found[at].Severity, found[at].Text = f.Severity, shorten(f.Text())
			}
		}
	}
	for i := range found {
		if n := more[found[i].Code]; n > 0 {
			found[i].Text += fmt.Sprintf(" (and %d more)", n)
		}
	}
	slices.SortStableFunc(found, func(a, b wire.Finding) int { return rank(a) - rank(b) })
	return found, refuse(wire.Unaccepted(found))
}

func rank(f wire.Finding) int {
	if f.Severity == wire.SeverityCritical {
		return 0
	}
	return 1
}

// shorten leaves room for what is said of further findings.
func shorten(text string) string {
	const most = wire.MaxFindingText - 64
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// refuse names critical findings that are not accepted.
func refuse(open []wire.Finding) error {
	if len(open) == 0 {
		return nil
	}
	var said strings.Builder
	for _, f := range open {
		fmt.Fprintf(&said, "\n  %s: %s", f.Code, f.Text)
	}
	return option.Errorf("accept_findings", "the host gets into this image; mend it and convert it again, or accept each finding by its code:%s", said.String())
}
