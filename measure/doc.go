// Package measure computes the launch digest of an SEV-SNP guest: the 48 bytes
// that the AMD Secure Processor (AMD-SP) derives from every page a hypervisor
// loads before the guest runs, and puts into each attestation report as
// MEASUREMENT.
//
// [New] measures what all sizes of a guest share (firmware, kernel, initrd,
// command line) and [Launch.Digest] finishes the digest for one count and type
// of vCPU, so many variants cost little more than one. [Explain] tells what
// went in and the digest after each step; [Compare] finds where two
// explanations part.
//
// It follows:
//   - AMD, SEV Secure Nested Paging Firmware ABI, publication 56860 rev. 1.58,
//     section 8.17 (SNP_LAUNCH_UPDATE) for the PAGE_INFO chain;
//   - AMD64 Architecture Programmer's Manual volume 2, publication 24593,
//     appendix B, table B-4 for the VMSA;
//   - edk2, OvmfPkg/ResetVector for the tables in the firmware;
//   - QEMU, target/i386/sev.c for the hashes table and the order of pages,
//     and what is known of EC2's and GCE's virtual machine monitors.
//
// The package reads its input as hostile bytes: a malformed firmware gives an
// error that says what is wrong with it, never a digest. It does not promise
// that a firmware is a good one, nor that a kernel boots.
package measure
