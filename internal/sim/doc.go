// Package sim is a simulated AMD: roots and intermediate certificates, chips
// with VCEKs, cloud providers with VLEKs, signed attestation reports and a Key
// Distribution Service over HTTP. It is for tests and for the demo.
//
// Nothing trusts it: its keys are software keys that anyone who holds its state
// file can use, and its root counts only where an operator gives it explicitly
// as a trust root. Names, serials, extensions and algorithms of its certificates
// are those of AMD's, so that a verifier that tells them apart does so by the
// keys alone.
//
// It follows AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS
// Interface Specification, publication 57230 rev. 1.00, and AMD, SEV Secure
// Nested Paging Firmware ABI, publication 56860 rev. 1.58. For attacks, every
// part can be made wrong: Authority.Issue signs any template, VEK.Sign any bytes.
package sim
