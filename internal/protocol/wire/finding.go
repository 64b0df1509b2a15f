package wire

import "slices"

// SeverityCritical is the severity of findings by which the host gets in without
// a secret.
const SeverityCritical = "critical"

// Limits of the findings of a registration. Lengths are in bytes.
const (
	MaxFindings    = 64
	MaxFindingCode = 64
	MaxFindingText = 512
)

// Finding is something that weakens an image and that its conversion has not
// mended. There is one for each code.
type Finding struct {
	Code     string `json:"code"`     // stable: lower-case letters, digits and hyphens
	Severity string `json:"severity"` // "critical", "warning" or "note"
	Text     string `json:"text"`     // for people
	Accepted bool   `json:"accepted"` // by whoever registered the release
}

// ReleaseFinding is a finding as a release shows it.
type ReleaseFinding struct {
	Code       string `json:"code"`
	Severity   string `json:"severity"`
	Text       string `json:"text"`
	AcceptedBy string `json:"accepted_by"` // who registered the release with it; empty when nobody had to
}

// Unaccepted returns the critical findings that nobody has accepted: no image is
// registered with one.
func Unaccepted(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Accepted || f.Severity != SeverityCritical })
}
