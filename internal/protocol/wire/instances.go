package wire

import (
	"fmt"
	"regexp"
	"time"
)

// PathInstances is where instances are. An ID follows, and what is done with it.
const PathInstances = "/v1/instances"

// InstanceMode says whether an image has instances.
type InstanceMode string

// The modes. An image that granted a key under InstancesNone keeps it: systems have run
// under its golden key.
const (
	InstancesNone  InstanceMode = "none"  // HOST_DATA is ignored, all copies share the golden key
	InstancesNamed InstanceMode = "named" // only instances that were created are given keys
	InstancesAuto  InstanceMode = "auto"  // an unknown UUID in HOST_DATA makes an instance, up to the image's limit
)

// GenerationMode says what an older generation than the service knows means.
type GenerationMode string

// The modes.
const (
	GenerationReport  GenerationMode = "report"  // it is recorded, and the guest is given its key
	GenerationEnforce GenerationMode = "enforce" // the guest is denied, unless its restore was allowed
)

// InstanceSettings is what an image says of its instances.
type InstanceSettings struct {
	Mode       InstanceMode   `json:"mode"`
	Limit      int64          `json:"limit"`      // of instances that InstancesAuto makes; 0 with other modes
	Generation GenerationMode `json:"generation"` // GenerationReport by default
}

// MaxAutoInstances bounds InstanceSettings.Limit.
const MaxAutoInstances = 100_000

// Validate checks the words and the limit. The error wraps ErrShape.
func (s *InstanceSettings) Validate() error {
	switch {
	case s.Mode != InstancesNone && s.Mode != InstancesNamed && s.Mode != InstancesAuto:
		return fmt.Errorf("%w: instances are %.20q, want none, named or auto", ErrShape, s.Mode)
	case s.Generation != GenerationReport && s.Generation != GenerationEnforce:
		return fmt.Errorf("%w: generation is %.20q, want report or enforce", ErrShape, s.Generation)
	case s.Mode == InstancesAuto && (s.Limit < 1 || s.Limit > MaxAutoInstances):
		return fmt.Errorf("%w: a limit of %d instances, want 1 to %d", ErrShape, s.Limit, MaxAutoInstances)
	case s.Mode != InstancesAuto && s.Limit != 0:
		return fmt.Errorf("%w: a limit of %d instances is for auto", ErrShape, s.Limit)
	}
	return nil
}

// Instance is one VM of an image.
type Instance struct {
	ID        UUID          `json:"id"`
	Name      string        `json:"name"` // a DNS label, of one instance of the service
	ImageID   UUID          `json:"image_id"`
	ImageName string        `json:"image_name"`
	State     InstanceState `json:"state"` // new, claimed or ready
	Enabled   bool          `json:"enabled"`
	Auto      bool          `json:"auto"`      // made by its first launch
	HostData  string        `json:"host_data"` // of its launches, 64 hexadecimal digits

	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	GrantedAt *time.Time `json:"granted_at"`       // the last launch that was given keys; null: none
	ReadyAt   *time.Time `json:"ready_at"`         // when its disk was under its volume key; null: it is not
	BootedAt  *time.Time `json:"booted_at"`        // the last boot that committed its generation; null: none
	Release   UUID       `json:"release,omitzero"` // that was launched last

	Sealed     string   `json:"sealed_sha256"` // of the sealed guest secret that it is claimed by, 64 hexadecimal digits; empty while new
	Generation uint64   `json:"generation"`    // the last that was committed
	Restore    *Restore `json:"restore"`       // that is allowed; null: none
	Recovery   bool     `json:"recovery"`      // the service has its volume key for the owner's recovery keys

	DeletedAt *time.Time `json:"deleted_at"` // null: it is not; the share goes a day later
	GoneAt    *time.Time `json:"gone_at"`    // when the share goes; null with deleted_at
}

// Restore is an older generation of an instance that one boot may have.
type Restore struct {
	Generation uint64    `json:"generation"`
	Until      time.Time `json:"until"`
}

// InstanceList is one page of instances.
type InstanceList struct {
	Instances []Instance `json:"instances"`
	Next      string     `json:"next"` // cursor of the next page; empty on the last
}

// InstanceCreation makes an instance.
type InstanceCreation struct {
	ImageID UUID   `json:"image_id"`
	Name    string `json:"name"`
}

// InstancePatch changes an instance. What is null stays as it is.
type InstancePatch struct {
	Enabled *bool `json:"enabled"`
}

// InstanceAdoption has a claim recognised by its receipt, which a service has forgotten
// that was restored from an older backup.
type InstanceAdoption struct {
	Sealed  []byte `json:"sealed"`  // SHA-256 of the sealed guest secret, 32 bytes
	Receipt []byte `json:"receipt"` // Ed25519 over ReceiptTranscript, 64 bytes
}

// Validate checks the sizes. The error wraps ErrShape.
func (a *InstanceAdoption) Validate() error {
	if err := checkSize("sealed", a.Sealed, 32); err != nil {
		return err
	}
	return checkSize("receipt", a.Receipt, 64)
}

// RestoreAllowance allows one boot of an older generation, for an hour.
type RestoreAllowance struct {
	Generation uint64 `json:"generation"`
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckInstanceName wants a DNS label in lower case (RFC 1123, section 2.1): 1 to 63
// letters, digits and hyphens, no hyphen first or last; and none that reads as a UUID.
// The error wraps ErrShape.
func CheckInstanceName(name string) error {
	if !dnsLabel.MatchString(name) {
		return fmt.Errorf("%w: instance name %.80q: want 1 to 63 lower-case letters, digits and hyphens, no hyphen first or last", ErrShape, name)
	}
	if _, err := ParseUUID(name); err == nil {
		return fmt.Errorf("%w: instance name %q is a UUID", ErrShape, name)
	}
	return nil
}
