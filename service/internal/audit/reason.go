package audit

// Reason is the stable code of why something was denied, or of what an operator did.
type Reason string

// The reasons for which guests are denied their keys. Those of certificates and
// signatures that are not here are attest.Reason's, those of report policies the
// names of their rules. A record of a grant has no reason.
const (
	ReasonNonceForged      Reason = "nonce_forged"       // not made by this service
	ReasonNonceExpired     Reason = "nonce_expired"      //
	ReasonNonceUsed        Reason = "nonce_used"         // an earlier request had it
	ReasonReportFormat     Reason = "report_format"      // not a report, or of an unknown version
	ReasonBinding          Reason = "binding"            // the report was made for another request
	ReasonVMPL             Reason = "vmpl"               // not requested from VMPL 0
	ReasonLaunchUnknown    Reason = "launch_unknown"     // no such ID key, author key and release
	ReasonImageDisabled    Reason = "image_disabled"     //
	ReasonReleaseRejected  Reason = "release_rejected"   // somebody has decided against it
	ReasonReleaseRetired   Reason = "release_retired"    // no longer in force
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

// The reasons of launches of instances, and of the calls of their boots.
const (
	ReasonInstanceRequired Reason = "instance_required" // HOST_DATA names none, and the image's launches do
	ReasonInstanceUnknown  Reason = "instance_unknown"  // HOST_DATA names none of the image
	ReasonInstanceDisabled Reason = "instance_disabled" // or deleted
	ReasonInstanceLimit    Reason = "instance_limit"    // the image has as many as its launches may make
	ReasonInstanceKey      Reason = "instance_key"      // the disk does not show the record that the instance was claimed by
	ReasonInstanceClaimed  Reason = "instance_claimed"  // by another record
	ReasonInstanceState    Reason = "instance_state"    // the call is of another state of an instance
	ReasonInstanceChanged  Reason = "instance_changed"  // while the request was decided; the guest tries again
	ReasonRollback         Reason = "rollback"          // the disk shows an older generation than was committed
	ReasonGeneration       Reason = "generation"        // not the one after that of the grant
	ReasonBootSuperseded   Reason = "boot_superseded"   // another launch of the instance was granted since, or none was
	ReasonBootKey          Reason = "boot_key"          // not signed by the key of the boot that was granted
)

// What an unlock is counted under that was not denied. No record has these.
const (
	ReasonGranted      Reason = "granted"
	ReasonGrantedAgain Reason = "granted_again" // a retry with the same ephemeral key
	ReasonUndecided    Reason = "undecided"     // neither granted nor denied
)
