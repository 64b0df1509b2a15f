package unlock

import (
	"errors"
	"fmt"
	"strings"
)

// Reason is the stable code of an outcome in the audit log.
type Reason string

// The reasons. Those of certificates and signatures that are not here are
// attest.Reason's, those of report policies the names of their rules.
const (
	ReasonGranted          Reason = "granted"
	ReasonGrantedAgain     Reason = "granted_again"      // a retry with the same ephemeral key
	ReasonNonceForged      Reason = "nonce_forged"       // not made by this service
	ReasonNonceExpired     Reason = "nonce_expired"      //
	ReasonNonceUsed        Reason = "nonce_used"         // an earlier request had it
	ReasonReportFormat     Reason = "report_format"      // not a report, or of an unknown version
	ReasonBinding          Reason = "binding"            // the report was made for another request
	ReasonVMPL             Reason = "vmpl"               // not requested from VMPL 0
	ReasonLaunchUnknown    Reason = "launch_unknown"     // no such ID key, author key and release
	ReasonImageDisabled    Reason = "image_disabled"     //
	ReasonReleaseDisabled  Reason = "release_disabled"   //
	ReasonReleaseProposed  Reason = "release_proposed"   // nobody has approved it
	ReasonSimulated        Reason = "simulated"          // registered under AMD, reported under a simulated AMD, or the other way round
	ReasonLaunchLimit      Reason = "launch_limit"       // so many launches of the image have had their key within its period
	ReasonPolicyChanged    Reason = "policy_changed"     // image or release, while the request was decided
	ReasonFamilyID         Reason = "family_id"          // not the image's
	ReasonMeasurement      Reason = "measurement"        // none of the release's variants
	ReasonGuestPolicy      Reason = "guest_policy"       // not the release's
	ReasonGuestSVN         Reason = "guest_svn"          // not the release's
	ReasonRevoked          Reason = "revoked"            // AMD revoked a certificate
	ReasonCRL              Reason = "crl"                // AMD's revocation list is forged or rolled back
	ReasonReportIDReleased Reason = "report_id_released" // this launch has had its key
	ReasonSealedVMK        Reason = "sealed_vmk"         // not sealed to this release's key
	ReasonPublicKey        Reason = "public_key"         // the guest's HPKE key is malformed
)

// ReasonUndecided is told to Config.Observe of requests that were neither granted
// nor denied, see ErrUnavailable. No record has it.
const ReasonUndecided Reason = "undecided"

// maxText bounds what a denial says in bytes. A release may have hundreds of
// measurements, and each denial goes into the log.
const maxText = 1 << 10

// bounded returns the denial with its texts cut.
func (d *Denial) bounded() *Denial {
	cut := *d
	for _, text := range []*string{&cut.Expected, &cut.Found} {
		if len(*text) > maxText {
			*text = strings.ToValidUTF8((*text)[:maxText], "") + "..."
		}
	}
	return &cut
}

// Denial is the error of a request that is refused for good. Its text is for
// the operator, never for the guest.
type Denial struct {
	Reason          Reason
	Rule            string // the field or rule that failed; may be empty
	Expected, Found string // may be empty
}

// Error returns the denial in one line.
func (d *Denial) Error() string {
	return fmt.Sprintf("denied: %s: rule %q, expected %q, found %q", d.Reason, d.Rule, d.Expected, d.Found)
}

// ErrUnavailable is a request that could not be decided: a database, AMD's KDS
// or a revocation list cannot be reached. The guest may try again.
var ErrUnavailable = errors.New("cannot decide now")

func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}
