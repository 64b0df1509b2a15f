package wire

import (
	"encoding/json"
	"time"
)

// Paths of the management API. An ID follows where a path ends in a slash.
const (
	PathImages  = "/v1/images"
	PathTokens  = "/v1/tokens"
	PathAudit   = "/v1/audit"
	PathKDS     = "/v1/kds"
	PathStatus  = "/v1/status"
	PathOpenAPI = "/v1/openapi.json"
)

// Image is a stable identity: its ID and author keys stay the same over all of
// its releases.
type Image struct {
	ID              UUID              `json:"id"` // FAMILY_ID of its reports
	Name            string            `json:"name"`
	Labels          map[string]string `json:"labels"`
	Enabled         bool              `json:"enabled"`   // whether any release may be unlocked
	Simulated       bool              `json:"simulated"` // registered while a simulated AMD was trusted
	CreatedAt       time.Time         `json:"created_at"`
	IDKeyDigest     string            `json:"id_key_digest"`     // 96 hexadecimal digits
	AuthorKeyDigest string            `json:"author_key_digest"` // 96 hexadecimal digits
	Policy          json.RawMessage   `json:"policy"`            // report policy of all releases, docs/report-policy.schema.json
	Revision        int64             `json:"revision"`          // of the policy; a change names the one it replaces
	LaunchLimit     LaunchLimit       `json:"launch_limit"`
	KeepReleases    int64             `json:"keep_releases"` // approved releases that stay when older ones retire by themselves; 0 keeps all
	Instances       InstanceSettings  `json:"instances"`
	Releases        []Release         `json:"releases,omitempty"` // newest first; left out of lists
}

// LaunchLimit bounds how many launches of an image are given their key within a
// period. Zeros are no limit.
type LaunchLimit struct {
	Max    int64 `json:"max"`
	Period int64 `json:"period"` // seconds
}

// Release is one measured set of artifacts of an image.
type Release struct {
	ID          UUID            `json:"id"`    // IMAGE_ID of its reports
	State       ReleaseState    `json:"state"` // only an approved one unlocks
	ProposedBy  string          `json:"proposed_by"`
	ApprovedAt  *time.Time      `json:"approved_at"` // null until it was approved
	ApprovedBy  string          `json:"approved_by"`
	VerifiedBy  string          `json:"verified_by"` // who had recomputed what was approved; empty: nobody
	DecidedAt   *time.Time      `json:"decided_at"`  // the last rejection, retirement or restoration; null for none
	DecidedBy   string          `json:"decided_by"`
	Reason      string          `json:"reason"`         // of that, in words; may be empty
	ContentHash string          `json:"content_sha256"` // of what is approved, 64 hexadecimal digits
	CreatedAt   time.Time       `json:"created_at"`
	Cmdline     string          `json:"cmdline"`
	GuestPolicy string          `json:"guest_policy"` // hexadecimal with 0x; measured, never changes
	GuestSVN    uint32          `json:"guest_svn"`    // likewise
	Artifacts   []Artifact      `json:"artifacts"`
	Variants    []Variant       `json:"variants"` // the first is the default
	Policy      json.RawMessage `json:"policy"`   // report policy that holds besides the image's, or null
	Revision    int64           `json:"revision"` // of the policy; a change names the one it replaces
	// Findings are what the conversion found and did not mend; null when none
	// were reported.
	Findings []ReleaseFinding `json:"findings"`

	// Provenance is what the registrant says; null when nothing was said.
	Provenance *Provenance `json:"provenance"`

	// Verifications are of the release as it is, by other parties, the newest first.
	Verifications []Verified `json:"verifications"`
}

// Artifact is a file that a release was measured from.
type Artifact struct {
	Name   string `json:"name"`   // as in the bundle, such as "vmlinuz"
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
}

// Variant is a size of a release, with its own measurement.
type Variant struct {
	VCPUs       int    `json:"vcpus"`
	VCPUType    string `json:"vcpu_type"`
	Measurement string `json:"measurement"` // 96 hexadecimal digits
}

// ImageList is one page of images.
type ImageList struct {
	Images []Image `json:"images"`
	Next   string  `json:"next"` // cursor of the next page; empty on the last
}

// Registration is the part "registration" of the multipart body with which an
// image or a further release is registered. It comes first; the files follow in
// the parts "firmware", "kernel", "initrd" (may be left out), "cmdline" and
// "unsealing_key" (may be left out for a further release).
type Registration struct {
	ImageID     UUID              `json:"image_id"` // made by the converter
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"` // a new image; a further release unlocks nothing until it is approved
	VCPUs       []int             `json:"vcpus"`
	VCPUTypes   []string          `json:"vcpu_types"`
	GuestPolicy string            `json:"guest_policy,omitempty"` // number or names; empty for 0x30000
	GuestSVN    uint32            `json:"guest_svn,omitempty"`
	Policy      json.RawMessage   `json:"policy,omitempty"` // report policy of the image, empty for the defaults; or what a further release demands beyond it
	// Findings are what the conversion found and did not mend; null when nobody
	// has looked. Critical ones have to be accepted.
	Findings []Finding `json:"findings,omitzero"`
	// Provenance is what a release from packages was made of; null for others.
	Provenance *Provenance `json:"provenance,omitempty"`
	// Instances are the settings of a new image; null for InstancesNone. A further
	// release has none.
	Instances *InstanceSettings `json:"instances,omitempty"`
}

// Registered answers a registration.
type Registered struct {
	Image   Image   `json:"image"`
	Release Release `json:"release"`
}

// ImagePatch changes an image. What is null stays as it is; a policy names the
// revision that it replaces.
type ImagePatch struct {
	Name         *string            `json:"name"`
	Enabled      *bool              `json:"enabled"`
	Labels       *map[string]string `json:"labels"`
	LaunchLimit  *LaunchLimit       `json:"launch_limit"`
	KeepReleases *int64             `json:"keep_releases"`
	Instances    *InstanceSettings  `json:"instances"`
	Policy       json.RawMessage    `json:"policy"`
	Revision     int64              `json:"revision"`
}

// ReleasePatch changes a release. What is null stays as it is; a policy names
// the revision that it replaces.
type ReleasePatch struct {
	Policy   json.RawMessage `json:"policy"`
	Revision int64           `json:"revision"`
}
