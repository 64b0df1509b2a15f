package registry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// checkFindings refuses findings that cannot be shown, and critical ones that
// whoever registers has not accepted: the host gets into such an image. The error
// is a *RefusedError.
func checkFindings(list []wire.Finding) error {
	if len(list) > wire.MaxFindings {
		return refused("findings: %d are given, want at most %d", len(list), wire.MaxFindings)
	}
	for i, f := range list {
		switch {
		case !isFindingCode(f.Code):
			return refused("findings: code %.100q: want 1 to %d lower-case letters, digits and hyphens", f.Code, wire.MaxFindingCode)
		case slices.ContainsFunc(list[:i], func(other wire.Finding) bool { return other.Code == f.Code }):
			return refused("findings: %s is given twice", f.Code)
		case f.Severity != wire.SeverityCritical && f.Severity != "warning" && f.Severity != "note":
			return refused("findings: %s: severity %.100q: want critical, warning or note", f.Code, f.Severity)
		case len(f.Text) > wire.MaxFindingText || strings.ContainsFunc(f.Text, func(c rune) bool { return !unicode.IsPrint(c) }):
			return refused("findings: %s: want at most %d bytes of printable text", f.Code, wire.MaxFindingText)
		}
	}
	var codes []string
	for _, f := range wire.Unaccepted(list) {
		codes = append(codes, f.Code)
	}
	if len(codes) > 0 {
		return refused("findings: the host gets into this image (%s): fix this and convert the image again, or accept each critical finding", strings.Join(codes, ", "))
	}
	return nil
}

func isFindingCode(code string) bool {
	return code != "" && len(code) <= wire.MaxFindingCode && !strings.ContainsFunc(code, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

// keptFindings encodes findings as a release keeps them, with who accepted what.
func keptFindings(list []wire.Finding, actor string) ([]byte, error) {
	if list == nil {
		return []byte("null"), nil
	}
	kept := []wire.ReleaseFinding{}
	for _, f := range list {
		r := wire.ReleaseFinding{Code: f.Code, Severity: f.Severity, Text: f.Text}
		if f.Accepted {
			r.AcceptedBy = actor
		}
		kept = append(kept, r)
	}
	return json.Marshal(kept)
}

// noteFindings writes codes into the details of an audit record: what is told of
// the image, and what of it was accepted.
func noteFindings(details map[string]string, list []wire.Finding) {
	if list == nil {
		details["findings"] = "not reported"
		return
	}
	told, accepted := []string{}, []string{}
	for _, f := range list {
		told = append(told, f.Severity+" "+f.Code)
		if f.Accepted {
			accepted = append(accepted, f.Code)
		}
	}
	details["findings"] = cmp.Or(strings.Join(told, ", "), "none")
	if len(accepted) > 0 {
		details["accepted_findings"] = strings.Join(accepted, ", ")
	}
}

// Findings returns the findings of a release; nil when none were reported.
func Findings(r store.Release) ([]wire.ReleaseFinding, error) {
	var list []wire.ReleaseFinding
	if err := strictjson.Decode(r.Findings, &list); err != nil {
		return nil, fmt.Errorf("findings of release %s: %w", r.ID, err)
	}
	return list, nil
}
