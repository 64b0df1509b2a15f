package kds

import (
	"sync"
	"time"
)

// maxFailures bounds how many failures are remembered.
const maxFailures = 4096

// failures remembers for a while what KDS could not or did not want to answer.
type failures struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[Key]failed
}

type failed struct {
	err   error
	until time.Time
}

// get returns the error of the last attempt, or nil when it is time for another.
func (f *failures) get(key Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.entries[key]; ok && f.now().Before(e.until) {
		return e.err
	}
	return nil
}

// put remembers an error for a time.
func (f *failures) put(key Key, err error, remember time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.entries == nil || len(f.entries) >= maxFailures {
		f.entries = make(map[Key]failed)
	}
	f.entries[key] = failed{err, f.now().Add(remember)}
}
