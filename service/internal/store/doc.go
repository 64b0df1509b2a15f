// Package store keeps what the attestation service knows: images with their
// releases and launch variants, tokens, sessions and sealed secrets. Open returns a Store on SQLite, one file, or on PostgreSQL, which
// many replicas share; migrations and statements are the same for both.
//
// The package stores secrets as it is given them, sealed or hashed, and knows
// neither keys nor HTTP.
//
// Statements number their placeholders in the order of first use, because
// SQLite binds them by position. Times are microseconds since 1970, UTC; zero
// stands for no time at all.
package store
