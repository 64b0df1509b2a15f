// Package attest is the gate in front of every key. It answers two questions
// about an attestation report, one after the other:
//
//   - Is it signed by AMD? [Verifier.Verify] proves the certificates up to a
//     pinned root, that the certificate belongs to the report, and the report's
//     signature. Its answer is a [Verified] or a [Refusal] with its [Reason].
//   - Is it acceptable? [Evaluate] holds what was verified against a [Policy] and
//     gives one [Result] for each rule.
//
// It follows AMD, SEV Secure Nested Paging Firmware ABI, publication 56860 rev.
// 1.58, chapter 7 and table ATTESTATION_REPORT, and AMD, Versioned Chip
// Endorsement Key (VCEK) Certificate and KDS Interface Specification,
// publication 57230 rev. 1.00, chapters 2 and 3.
//
// It touches no files and no network and reads no clock. It does not know
// whether a certificate was revoked: internal/attestation/kds reads AMD's revocation lists,
// and [Verified.Chain] is what they are held against. It does not know whether a
// report is fresh either: callers put a nonce into REPORT_DATA.
package attest
