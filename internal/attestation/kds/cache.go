package kds

import (
	"context"
	"errors"
	"time"
)

// Errors of a Cache.
var (
	ErrNotCached = errors.New("not in the cache")
	ErrCorrupt   = errors.New("damaged cache entry")
	ErrCacheFull = errors.New("cache is full")
)

// Entry is what a cache keeps under a key.
type Entry struct {
	Data      []byte
	FetchedAt time.Time // when KDS gave it, to the second
}

// Listed describes an entry without its data.
type Listed struct {
	Key       Key
	Size      int64 // bytes of data
	FetchedAt time.Time
}

// Cache keeps entries. The Client trusts none of what it returns, but checks it
// again. Implementations are safe for concurrent use by goroutines, and by
// processes where they share storage; Put replaces an entry as a whole. Package
// cachetest has a suite that every implementation passes.
type Cache interface {
	// Get returns an entry, of at most Key.MaxSize bytes. The error wraps
	// ErrNotCached when there is none, ErrCorrupt when there is one that cannot
	// be an entry; every other error is a failure of the storage.
	Get(ctx context.Context, key Key) (Entry, error)

	// Put keeps an entry in place of an earlier one. Data is not empty, has at
	// most Key.MaxSize bytes and is not kept by reference. The error wraps
	// ErrCacheFull when there is no room for a further key.
	Put(ctx context.Context, key Key, entry Entry) error

	// List returns all entries in the order of their names.
	List(ctx context.Context) ([]Listed, error)
}
