package api_test

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Findings that nobody reported are not the same as none.
func TestUnreportedFindings(t *testing.T) {
	w := newWorld(t)
	for name, list := range map[string][]wire.Finding{"silent": nil, "clean": {}} {
		r := into[wire.Registered](w.register(w.newUpload(name).change(func(r *wire.Registration) { r.Findings = list }), "/v1/images").want(201))
		if (r.Release.Findings == nil) != (list == nil) || len(r.Release.Findings) != 0 {
			t.Errorf("%s: %+v", name, r.Release.Findings)
		}
	}
}

// A client that skips the gate of the command line asks the API itself: an image
// that the host gets into is refused unless each critical finding is accepted, and
// the audit log says what was.
func TestCriticalFindingsAreRefused(t *testing.T) {
	w := newWorld(t)
	key := wire.Finding{Code: "ssh-host-key", Severity: wire.SeverityCritical, Text: "known"}
	password := wire.Finding{Code: "console-password", Severity: wire.SeverityCritical, Text: "the maker's", Accepted: true}
	with := func(list ...wire.Finding) func(*wire.Registration) {
		return func(r *wire.Registration) { r.Findings = list }
	}
	detail := w.register(w.newUpload("a").change(with(key, password)), "/v1/images").problem(wire.CodeUnprocessable)
	if !strings.Contains(detail, "(ssh-host-key)") || w.files.left() != 0 {
		t.Errorf("refused with %q, %d files are left", detail, w.files.left())
	}
	key.Accepted = true
	first := into[wire.Registered](w.register(w.newUpload("a").change(with(key, password)), "/v1/images").want(201))
	if r := w.lastAudit(); r.Details["findings"] != "critical ssh-host-key, critical console-password" || r.Details["accepted_findings"] != "ssh-host-key, console-password" ||
		!strings.Contains(r.Actor, "(register)") {
		t.Errorf("recorded %+v", r)
	}
	shown := into[wire.Release](w.get(releasePath(first), wire.RoleRead).want(200)).Findings
	if len(shown) != 2 || shown[0].Code != "ssh-host-key" || shown[0].Text != "known" || !strings.Contains(shown[0].AcceptedBy, "(register)") {
		t.Errorf("the release shows %+v", shown)
	}
	key.Accepted = false
	further := w.newUpload("").change(with(key)).change(func(r *wire.Registration) { r.ImageID = first.Image.ID })
	w.register(further, "/v1/images/"+first.Image.ID.String()+"/releases").problem(wire.CodeUnprocessable)
}
