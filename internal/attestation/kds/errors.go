package kds

import "errors"

// Errors of lookups, besides those of the cache. Messages say more.
var (
	// ErrUnknownChip: KDS has no such chip, or not at such a TCB.
	ErrUnknownChip = errors.New("AMD KDS does not know this chip")

	// ErrUnavailable: what is asked for is not cached, and KDS cannot be asked now.
	ErrUnavailable = errors.New("AMD KDS is not available")

	// ErrAnswer: what KDS, the cache or an archive gave is not what was asked for
	// or not signed below a trusted root.
	ErrAnswer = errors.New("not an answer of AMD KDS")

	// ErrRevoked: a certificate is on the revocation list.
	ErrRevoked = errors.New("certificate is revoked")

	// ErrCRLStale: there is no revocation list that is recent enough.
	ErrCRLStale = errors.New("certificate revocation list is not current")

	// ErrCRLSignature: a revocation list that no trusted root has signed.
	ErrCRLSignature = errors.New("certificate revocation list is not signed by a trusted root")

	// ErrCRLRollback: a revocation list that is older than the one in the cache.
	ErrCRLRollback = errors.New("certificate revocation list is older than the cached one")
)

// errNotFound is status 404.
var errNotFound = errors.New("not found")
