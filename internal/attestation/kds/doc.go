// Package kds gets the certificates that AMD issues for SEV-SNP chips from AMD's
// Key Distribution Service and keeps them in a cache: VCEKs, the ASK or ASVK and
// ARK above them, and certificate revocation lists. Client is the entry point.
//
// It follows AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS
// Interface Specification, publication 57230 rev. 1.00; Turin's URLs, which that
// revision lacks, follow its certificates. VLEKs are given to cloud providers
// only and come with a report, so they cannot be fetched here.
//
// Answers of KDS, entries of the cache and imported archives are all checked in
// the same way before they are kept or used: signed below one of the roots that
// the caller trusts, and for exactly what was asked. Whether a report is genuine
// is not decided here; that is internal/attestation/attest's. The validity period of what a
// lookup returns is the caller's to check too, at the time that matters to it.
package kds
