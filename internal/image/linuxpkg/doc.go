// Package linuxpkg reads packages of Linux kernels, .deb (deb(5)) and .rpm (RPM's
// "Package Format V4"): what they are called, and of their files the kernels, the
// kernels' configurations and modules.
//
// Packages come over networks, and nothing of one is run or installed. It is read in
// one pass, in bounded memory, and refused where two readers could see different
// things in it: names that lead elsewhere, links in the place of a module, a file
// twice. Signatures inside of packages are not checked: a package is known by its
// SHA-256, which the caller compares or finds in a signed index.
package linuxpkg

import "errors"

// ErrPackage is a package that cannot be read, or that holds nothing of a kernel.
var ErrPackage = errors.New("malformed package")

// Limits of a set of packages. Ubuntu's linux-modules-extra has some 5,000 files and,
// compressed one by one, 100 MB.
const (
	maxFiles     = 20000
	maxNodes     = 2 * maxFiles // with directories
	maxName      = 1024         // of a file, in bytes
	maxSize      = 2 << 30      // of all files that are kept, in bytes
	maxUnpacked  = 8 << 30      // of all archives, kept or not
	maxFile      = 64 << 20
	maxKernel    = 256 << 20 // as much as the service takes
	maxControl   = 1 << 20   // of a .deb's control file
	maxRPMHeader = 32 << 20  // of names and versions; those of kernels have some 2 MB
	maxReleases  = 16
)
