// Package audit is the log of who got a key and who changed what: what a record
// says, the reasons it gives, and the chain of hashes that ties each record to all
// before it (docs/audit-log.md). It keeps nothing itself: service/internal/store has
// the rows, and service/internal/unlock makes the records of unlocks.
package audit
