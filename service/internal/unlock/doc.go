// Package unlock decides whether a guest gets its volume key. It is the one
// place where the key of a disk exists outside of its guest, for as long as it
// takes to encrypt it again to the guest's own key.
//
// [Service.Unlock] takes an attestation report and checks, in this order and
// each with a reason of its own: the nonce, the report's format, that the report
// binds this request, VMPL 0, that the launch is one that was registered and is
// enabled, what was measured, the signature up to AMD's root, revocation, and
// the release's report policy. Then it opens the sealed VMK, seals it to the
// guest, and records all of that. Nothing leaves before the record is durable.
//
// A guest that is refused learns one sentence and a request ID; the record says
// which rule, what was expected and what was found (docs/protocol.md).
package unlock
