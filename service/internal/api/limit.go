package api

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

// limit returns the bucket, full.
func (r Rate) limit() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// maxBuckets bounds the addresses that have a bucket of their own. An address
// that was not seen for the longest time loses its bucket to a new one; what
// that would let through, the bucket of all stops.
const maxBuckets = 65_536

// limiter lets requests through as two buckets allow: the address's, then that
// of all addresses.
type limiter struct {
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

func newLimiter(each, all Rate, now func() time.Time) *limiter {
	return &limiter{each: each, now: now, all: all.limit(), buckets: make(map[string]*list.Element), recent: list.New()}
}

// take takes one from both buckets, or returns how long to wait until that can
// be done, and takes nothing.
func (l *limiter) take(origin string) (wait time.Duration) {
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

// spend takes one from both buckets as far as there is one: something happened
// that should not happen often.
func (l *limiter) spend(origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.bucket(origin).AllowN(now, 1)
	l.all.AllowN(now, 1)
}

// blocked returns how long an origin has to wait that has spent too much. The
// bucket of all counts for those alone who have spent something lately:
// otherwise a few attackers could keep everyone out.
func (l *limiter) blocked(origin string) (wait time.Duration) {
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
func (l *limiter) bucket(origin string) *rate.Limiter {
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

// originOf returns what counts as one address: an IPv4 address, or an IPv6
// network of 64 bits, which one customer has at least.
func originOf(remoteAddr string) string {
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

// addressOf returns the address without its port.
func addressOf(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return "unknown"
	}
	return host
}
