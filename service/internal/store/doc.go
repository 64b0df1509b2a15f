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
// Rows that decisions rest on are authenticated under a key that Authenticate gives
// (docs/audit-log.md): whoever can write to the database can change none of them, nor
// the end of the chain, without that it shows. Only the whole database, put back as it
// was earlier, takes an anchor kept elsewhere (AuditHead, VerifyAuditAgainst).
//
// The package stores secrets as it is given them, sealed or hashed, and knows no HTTP.
// Retries of the launch's own grant are told apart by the hash of the
// guest's key, see Claim.
//
// Statements number their placeholders in the order of first use, because
// SQLite binds them by position. Times are microseconds since 1970, UTC; zero
// stands for no time at all.
package store
