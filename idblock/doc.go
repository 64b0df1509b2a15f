// Package idblock makes and checks the ID block of an SEV-SNP guest and its ID
// authentication information: the owner's signed statement of what may be
// launched. The AMD-SP refuses to launch anything else under that ID block, and
// puts the digests of the signing keys into each attestation report.
//
// [Sign] makes both structures from an [IDBlock] and two keys, and
// [Authentication.Verify] does what the AMD-SP does. [GuestPolicy] names the
// bits of the policy.
//
// It follows AMD, SEV Secure Nested Paging Firmware ABI, publication 56860 rev.
// 1.58: section 4.3 (guest policy), section 8.18 (SNP_LAUNCH_FINISH, tables "ID
// Block" and "ID Authentication Information"), and chapter 10 for the formats
// of ECDSA P-384 keys and signatures.
//
// Parsing is strict: reserved bytes are zero, keys lie on the curve, and what
// was parsed encodes to the same bytes.
package idblock
