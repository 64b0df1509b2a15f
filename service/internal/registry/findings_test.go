package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Whoever asks the API without a word about critical findings gets no release.
func TestFindingsAreChecked(t *testing.T) {
	critical := wire.Finding{Code: "ssh-host-key", Severity: "critical", Text: "known"}
	accepted := critical
	accepted.Accepted = true
	for name, tc := range map[string]struct {
		list []wire.Finding
		want string
	}{
		"not reported":     {nil, ""},
		"none":             {[]wire.Finding{}, ""},
		"warning":          {[]wire.Finding{{Code: "kdump", Severity: "warning", Text: "x"}}, ""},
		"accepted":         {[]wire.Finding{accepted, {Code: "kdump", Severity: "note"}}, ""},
		"critical":         {[]wire.Finding{{Code: "kdump", Severity: "note"}, critical}, "the host gets into this image (ssh-host-key)"},
		"one of two":       {[]wire.Finding{accepted, {Code: "autologin", Severity: "critical"}}, "(autologin)"},
		"no code":          {[]wire.Finding{{Severity: "note"}}, "code"},
		"shouting code":    {[]wire.Finding{{Code: "SSH", Severity: "note"}}, "code"},
		"long code":        {[]wire.Finding{{Code: strings.Repeat("a", wire.MaxFindingCode+1), Severity: "note"}}, "code"},
		"another severity": {[]wire.Finding{{Code: "x", Severity: "Critical"}}, "severity"},
		"long text":        {[]wire.Finding{{Code: "x", Severity: "note", Text: strings.Repeat("a", wire.MaxFindingText+1)}}, "printable text"},
		"control":          {[]wire.Finding{{Code: "x", Severity: "note", Text: "a\x1b[2J"}}, "printable text"},
		"twice":            {[]wire.Finding{accepted, critical}, "twice"},
		"too many":         {make([]wire.Finding, wire.MaxFindings+1), "want at most"},
	} {
		err := checkFindings(tc.list)
		var refusal *RefusedError
		if tc.want == "" && err != nil || tc.want != "" && (!errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}
