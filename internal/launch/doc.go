// Package launch turns a checked launch bundle into a running guest: into the
// command line of QEMU for SEV-SNP, into a domain of libvirt, or into QEMU without
// SEV beside a simulated AMD-SP.
//
// [Load] reads a bundle that bundle.Extract has checked and gives a [Guest];
// [Machine] is what the host adds to it. [SNP.Args] and [SNP.Domain] name every
// value that the AMD-SP measures or compares, so a launch that differs in any of
// them is refused by the chip and not by this package. [Missing] says what a host
// lacks for SEV-SNP, and [Simulation.Args] does without.
//
// It follows QEMU's documentation of the sev-snp-guest object (since QEMU 9.1) and
// libvirt's of launchSecurity type sev-snp (since libvirt 10.5). Bundles and disks
// are hostile: names from a bundle never reach a command line unchecked, and the
// format of a disk is always given, never guessed by QEMU.
package launch
