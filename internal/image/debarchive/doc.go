// Package debarchive checks that packages are those of a Debian archive: that its
// InRelease is signed by a key that is trusted and is not old, that a Packages index
// has a hash that stands in there, and that each package stands in that index
// (Debian's repository format, https://wiki.debian.org/DebianRepository/Format).
//
// Mirrors, and whoever is between, are hostile: only what a signature covers counts, and
// an index that was signed once is refused when it has become old, since it may list
// kernels whose holes are known. Nothing is fetched here.
package debarchive

import "errors"

var (
	// ErrSignature is an InRelease that no key of the keyring has signed.
	ErrSignature = errors.New("the index is not signed by a key of the keyring")
	// ErrStale is an InRelease that is too old, or not valid any more.
	ErrStale = errors.New("the index is out of date")
	// ErrIndex is an InRelease or Packages that is malformed, or a Packages that the
	// InRelease does not name.
	ErrIndex = errors.New("malformed index")
	// ErrUnlisted is a package that is not in the index.
	ErrUnlisted = errors.New("the index does not list the package")
)

// Limits on what is read, in bytes and numbers. Debian's InRelease has some 200 KB, its
// Packages 50 MB.
const (
	MaxKeyring   = 8 << 20
	MaxInRelease = 8 << 20
	maxPackages  = 1 << 30 // decompressed
	maxLine      = 1 << 20
	maxSignature = 64 << 10
	maxSigners   = 16
)
