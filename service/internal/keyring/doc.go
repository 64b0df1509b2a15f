// Package keyring holds the service's keys. They live in its database, sealed
// under a key-encryption key (KEK) that lives elsewhere: a stolen database opens
// nothing without the KEK, and a KEK nothing without the database.
//
// [LoadKEK] reads or makes the KEK, [Open] reads or makes the keys; several
// replicas that start at once end up with the same ones.
package keyring
