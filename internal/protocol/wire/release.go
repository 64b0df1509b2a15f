package wire

import "time"

// ReleaseState says what was decided of a release.
type ReleaseState string

// The states. A release is proposed, then approved or rejected; an approved one may be
// retired. An admin can restore: a retired one is approved again, a rejected one proposed.
const (
	StateProposed ReleaseState = "proposed"
	StateApproved ReleaseState = "approved" // the only state in which it unlocks
	StateRejected ReleaseState = "rejected"
	StateRetired  ReleaseState = "retired"
)

// Parties that are not tokens.
const (
	PartyPassword = "master password" // any session that it opened
	PartyService  = "service"         // a setting of the image, such as keep_releases
)

// Approval lets a proposed release into force.
type Approval struct {
	ContentHash string `json:"content_sha256"` // of the release as whoever approves has seen it
}

// Rejection keeps a proposed release from force.
type Rejection struct {
	Reason string `json:"reason,omitempty"`
}

// Retirement takes an approved release out of force: guests that were launched from it
// get no key any more.
type Retirement struct {
	Reason string `json:"reason,omitempty"`

	// InUse says that whoever retires knows that guests have been given keys by the
	// release, see ReleaseUse, and are locked out.
	InUse bool `json:"in_use,omitempty"`
}

// Restoration takes a rejection or a retirement back.
type Restoration struct {
	Reason string `json:"reason,omitempty"`
}

// ReleaseUse is whom retiring a release locks out, as far as the service knows.
type ReleaseUse struct {
	GrantedAt *time.Time `json:"granted_at"` // the last launch that was given its key; null: none
	Launches  int64      `json:"launches"`   // that were given their key within the last Days
	Machines  int64      `json:"machines"`   // that ran it when they were last seen, also those that are powered off now
	Instances int64      `json:"instances"`  // enabled ones that were launched from it last
	Days      int64      `json:"days"`
}

// What a verification says of the agent in a release's initrd.
const (
	AgentPublished = "published" // that of a published build
	AgentUnchecked = "unchecked"
)

// Verification says that a release was recomputed from its packages.
type Verification struct {
	ContentHash string   `json:"content_sha256"` // of the release as it was recomputed
	Agent       string   `json:"agent"`          // AgentPublished or AgentUnchecked
	Packages    []string `json:"packages"`       // SHA-256 of each, 64 hexadecimal digits
}

// Verified is a verification as it is kept.
type Verified struct {
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Agent    string    `json:"agent"`
	Packages []string  `json:"packages"`
}
