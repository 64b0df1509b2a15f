// Package limit lets so many requests of one address through, and so many of all
// addresses together. What counts as one address is decided here too.
package limit

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is a token bucket: so many requests a second, so many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Unlimited returns the rate of a bucket that is never empty.
func Unlimited() Rate { return Rate{PerSecond: float64(rate.Inf)} }

// limit returns the bucket, full.
func (r Rate) limit() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// maxBuckets bounds the addresses that have a bucket of their own. An address
// that was not seen for the longest time loses its bucket to a new one; what
// that would let through, the bucket of all stops.
const maxBuckets = 65_536

// Limiter lets requests through as two buckets allow: that of whom they come
// from, then that of all. It is safe for concurrent use.
type Limiter struct {
	each Rate
	now  func() time.Time

	mu      sync.Mutex
	all     *rate.Limiter
	buckets map[string]*list.Element // of *bucket
	recent  *list.List               // last used first
}

type bucket struct {
	origin string
	left   *rate.Limiter
}

// New returns a limiter whose buckets are full.
func New(each, all Rate, now func() time.Time) *Limiter {
	return &Limiter{each: each, now: now, all: all.limit(), buckets: make(map[string]*list.Element), recent: list.New()}
}

// Take takes one from both buckets, or returns how long to wait until that can
// be done, and takes nothing.
func (l *Limiter) Take(origin string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	own := l.bucket(origin).ReserveN(now, 1)
	if wait = delay(own, now); wait > 0 {
		own.CancelAt(now)
		return wait
	}
	all := l.all.ReserveN(now, 1)
	if wait = delay(all, now); wait > 0 {
		all.CancelAt(now)
		own.CancelAt(now)
	}
	return wait
}

// Spend takes one from both buckets as far as there is one: something happened
// that should not happen often.
func (l *Limiter) Spend(origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.bucket(origin).AllowN(now, 1)
	l.all.AllowN(now, 1)
}

// Blocked returns how long an origin has to wait that has spent too much. The
// bucket of all counts for those alone who have spent something lately:
// otherwise a few attackers could keep everyone out.
func (l *Limiter) Blocked(origin string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	e, ok := l.buckets[origin]
	if !ok {
		return 0
	}
	own := e.Value.(*bucket).left
	if own.TokensAt(now) >= float64(l.each.Burst) {
		return 0
	}
	for _, b := range []*rate.Limiter{own, l.all} {
		r := b.ReserveN(now, 1)
		wait = max(wait, delay(r, now))
		r.CancelAt(now)
	}
	return wait
}

// delay is how long a reservation has to wait. A bucket that never holds one
// counts as a long time.
func delay(r *rate.Reservation, now time.Time) time.Duration {
	if !r.OK() {
		return time.Hour
	}
	return r.DelayFrom(now)
}

// bucket returns the bucket of an origin.
func (l *Limiter) bucket(origin string) *rate.Limiter {
	if e, ok := l.buckets[origin]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket).left
	}
	if len(l.buckets) >= maxBuckets {
		oldest := l.recent.Back()
		delete(l.buckets, l.recent.Remove(oldest).(*bucket).origin)
	}
	b := &bucket{origin, l.each.limit()}
	l.buckets[origin] = l.recent.PushFront(b)
	return b.left
}

// Origin returns what counts as one address of a connection, HOST:PORT: an IPv4
// address, or an IPv6 network of 64 bits, which one customer has at least.
func Origin(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return "unknown"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// Address returns the address of a connection, HOST:PORT, without its port.
func Address(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return "unknown"
	}
	return host
}
