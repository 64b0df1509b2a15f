// Package snp reads and writes the data structures of SEV-SNP attestation:
// reports, TCB versions, platform information, the extensions of the
// certificates that sign reports, and the certificate table that can come with
// a report. It decides nothing: whether a report is genuine and acceptable is
// internal/attestation/attest's to say.
//
// It follows AMD, SEV Secure Nested Paging Firmware ABI, publication 56860 rev.
// 1.58, and AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS
// Interface Specification, publication 57230 rev. 1.00. Where go-sev-guest is
// right it is used; what it lacks (Turin's TCB layout and certificates) is here.
package snp
