// Package store keeps what the attestation service knows: images with their
// releases and launch variants, tokens, sessions and sealed secrets, and the
// audit log. Open returns a Store on SQLite, one file, or on PostgreSQL, which
// many replicas share; migrations and statements are the same for both.
//
// The audit log is a chain of hashes that is only ever appended to. RecordUnlock
// decides, in the transaction that writes the record, whether a nonce is used
// for the first time and whether a launch may have its key, so no grant is
// without its record; records that wait at the same time are committed together.
//
// The package stores secrets as it is given them, sealed or hashed, and knows
// neither keys nor HTTP. Whoever can write to the database can forge the whole
// chain; only an anchor kept elsewhere (AuditHead, VerifyAuditAgainst) shows
// that. Retries of the launch's own grant are told apart by the hash of the
// guest's key, see Claim.
//
// Statements number their placeholders in the order of first use, because
// SQLite binds them by position. Times are microseconds since 1970, UTC; zero
// stands for no time at all.
package store
