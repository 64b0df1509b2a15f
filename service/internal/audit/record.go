package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Kinds of audit records.
const (
	KindUnlock = "unlock" // a guest asked for its key
	KindAdmin  = "admin"  // an operator changed something, or tried to
	KindGuest  = "guest"  // a running guest said something of itself
)

// ReasonConfirmed is of the record that a guest has booted a release completely.
const ReasonConfirmed Reason = "release.confirmed"

// ReasonInstanceDestroyed is of the record that the service's share of an instance's
// key is gone, and with it what its disk holds.
const ReasonInstanceDestroyed Reason = "instance.destroyed"

// Outcomes of what a record is about.
const (
	OutcomeGranted = "granted" // the key was released
	OutcomeDenied  = "denied"
	OutcomeDone    = "done" // an operator's change took place, or a guest's word was kept
)

// Limits of a record. Longer texts are cut, so that nothing a guest sends keeps
// its record from being written; larger reports and more details are refused.
const (
	MaxText    = 1024 // bytes of each text
	MaxReport  = 4096
	MaxDetails = 32
	MaxBody    = 512 << 10 // all of them, in JSON
)

// ErrInvalid is a record that the log does not take, or a head that is not one.
var ErrInvalid = errors.New("invalid value")

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Record is an entry of the audit log. Its JSON is what the chain hashes; fields
// are only ever added to it, and left out when empty.
type Record struct {
	Seq     int64     `json:"seq"`  // from 1, without gaps; set by the store
	Time    time.Time `json:"time"` // UTC, to the microsecond; set by the store
	Kind    string    `json:"kind"`
	Outcome string    `json:"outcome"`
	Reason  Reason    `json:"reason,omitempty"` // stable code of a denial, or of an operator's action

	RequestID string `json:"request_id,omitempty"`
	Address   string `json:"address,omitempty"`
	Actor     string `json:"actor,omitempty"` // the token or session of an operator

	ImageID    wire.UUID `json:"image_id,omitzero"`
	ReleaseID  wire.UUID `json:"release_id,omitzero"`
	InstanceID wire.UUID `json:"instance_id,omitzero"`
	ChipID     Hex       `json:"chip_id,omitempty"` // 64 bytes, as in the report
	TCB        string    `json:"tcb,omitempty"`     // the reported TCB in words

	// The rule that failed, what it wants and what was there.
	Rule     string `json:"rule,omitempty"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`

	Retry   bool              `json:"retry,omitempty"` // granted again to the same guest key
	Details map[string]string `json:"details,omitempty"`
	Report  []byte            `json:"report,omitempty"` // the attestation report as it came

	// Count is how many denials the record stands for, when they are not recorded
	// each by itself; 0 otherwise.
	Count int64 `json:"count,omitempty"`
}

// Hex is bytes that JSON has in lower case hexadecimal.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	*h = b
	return err
}

// Checked returns a copy of the record with its texts cut and cleaned. The error
// wraps ErrInvalid.
func (r Record) Checked() (Record, error) {
	switch {
	case len(r.Report) > MaxReport:
		return r, invalidf("report has %d bytes, at most %d are taken", len(r.Report), MaxReport)
	case len(r.ChipID) > MaxText:
		return r, invalidf("chip ID has %d bytes", len(r.ChipID))
	case len(r.Details) > MaxDetails:
		return r, invalidf("%d details, at most %d are taken", len(r.Details), MaxDetails)
	case r.Count < 0:
		return r, invalidf("a count of %d", r.Count)
	case r.Outcome == OutcomeDenied && r.Reason == "":
		return r, invalidf("denied without a reason")
	}
	r.Reason = Reason(clean(string(r.Reason)))
	for _, text := range []*string{
		&r.Kind, &r.Outcome, &r.RequestID, &r.Address, &r.Actor, &r.TCB, &r.Rule, &r.Expected, &r.Found,
	} {
		*text = clean(*text)
	}
	details := r.Details
	if r.Details = nil; len(details) > 0 {
		r.Details = make(map[string]string, len(details))
	}
	for name, text := range details {
		r.Details[clean(name)] = clean(text)
	}
	return r, nil
}

// Storable makes text what every database takes: UTF-8 without NUL.
func Storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// clean makes text storable and cuts it.
func clean(text string) string {
	text = Storable(text)
	if len(text) <= MaxText {
		return text
	}
	const mark = "..."
	text = text[:MaxText-len(mark)]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return strings.Clone(text) + mark
}

// Granted reports whether the record is of a key that was released.
func (r Record) Granted() bool { return r.Kind == KindUnlock && r.Outcome == OutcomeGranted }

// Denied returns the record as a denial for another reason than it had.
func (r Record) Denied(reason Reason, rule, expected, found string) Record {
	r.Outcome, r.Reason = OutcomeDenied, reason
	r.Rule, r.Expected, r.Found = clean(rule), clean(expected), clean(found)
	return r
}

// WithDetail returns a copy of the record that says one thing more.
func (r Record) WithDetail(name, text string) Record {
	details := maps.Clone(r.Details)
	if details == nil {
		details = map[string]string{}
	}
	details[name] = text
	r.Details = details
	return r
}

// Entry is a record as the log has it.
type Entry struct {
	Record
	PrevHash [32]byte // of the chain before this record; zeros before the first
	Hash     [32]byte // of the chain up to this record
	Body     []byte   // the record's JSON as it was hashed
}
