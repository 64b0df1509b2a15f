package access

import (
	"sync"
	"time"
)

// rule says how attempts are slowed down: the first free ones not at all, each
// further one must come a delay after the one before it, which starts at a
// second and doubles up to a longest.
type rule struct {
	free    int
	longest time.Duration
}

func (r rule) delay(attempts int) time.Duration {
	if attempts < r.free {
		return 0
	}
	d := time.Second
	for range attempts - r.free {
		if d *= 2; d >= r.longest {
			return r.longest
		}
	}
	return d
}

// maxOrigins bounds the addresses whose attempts are remembered. Further ones
// share one memory.
const maxOrigins = 10_000

// attempts are those of one origin that have not turned out right.
type attempts struct {
	count int
	last  time.Time
}

// delays remembers attempts for a window of time.
type delays struct {
	now    func() time.Time
	window time.Duration

	mu      sync.Mutex
	origins map[string]attempts
}

func newDelays(now func() time.Time, window time.Duration) *delays {
	return &delays{now: now, window: window, origins: make(map[string]attempts)}
}

// begin counts an attempt of an origin, or returns how long the origin has to
// wait for the next one. Counting comes before the outcome, so that attempts
// side by side gain nothing.
func (d *delays) begin(origin string, r rule) (wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	origin = d.place(origin, now)
	a := d.origins[origin]
	if now.Sub(a.last) >= d.window {
		a = attempts{}
	}
	if wait := a.last.Add(r.delay(a.count)).Sub(now); a.count > 0 && wait > 0 {
		return wait
	}
	d.origins[origin] = attempts{a.count + 1, now}
	return 0
}

// place returns the name under which an origin is remembered.
func (d *delays) place(origin string, now time.Time) string {
	if _, known := d.origins[origin]; known || len(d.origins) < maxOrigins {
		return origin
	}
	for other, a := range d.origins {
		if now.Sub(a.last) >= d.window {
			delete(d.origins, other)
		}
	}
	if len(d.origins) < maxOrigins {
		return origin
	}
	return "others"
}

// undo takes back one attempt of an origin, forget all of them.
func (d *delays) undo(origin string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, known := d.origins[origin]; known && a.count > 0 {
		d.origins[origin] = attempts{a.count - 1, a.last}
	}
}

func (d *delays) forget(origin string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.origins, origin)
}
