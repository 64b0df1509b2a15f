package limit

import (
	"fmt"
	"testing"
	"time"
)

// bucketClock is a clock that tests turn.
type bucketClock struct{ time.Time }

func (c *bucketClock) now() time.Time { return c.Time }

func newTestLimiter(each, all Rate) (*Limiter, *bucketClock) {
	c := &bucketClock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return New(each, all, c.now), c
}

func TestTake(t *testing.T) {
	l, clock := newTestLimiter(Rate{1, 2}, Rate{10, 5})
	for i, want := range []time.Duration{0, 0, time.Second, time.Second} {
		if wait := l.Take("a"); wait != want {
			t.Errorf("request %d waits %s, want %s", i, wait, want)
		}
	}
	// What was refused took nothing from the bucket of all: three are left.
	for _, origin := range []string{"b", "c", "d"} {
		if wait := l.Take(origin); wait != 0 {
			t.Errorf("%s waits %s", origin, wait)
		}
	}
	if wait := l.Take("e"); wait != 100*time.Millisecond {
		t.Errorf("e waits %s for the bucket of all", wait)
	}
	// And what the bucket of all refused took nothing from the address's own.
	clock.Time = clock.Add(200 * time.Millisecond)
	for i, want := range []time.Duration{0, 0} {
		if wait := l.Take("e"); wait != want {
			t.Errorf("request %d of e waits %s, want %s", i, wait, want)
		}
	}
}

// TestSpend looks at who is blocked when too much has gone wrong.
func TestSpend(t *testing.T) {
	l, clock := newTestLimiter(Rate{1, 2}, Rate{1, 3})
	l.Spend("a")
	if wait := l.Blocked("a"); wait != 0 {
		t.Errorf("a waits %s", wait)
	}
	l.Spend("a")
	if wait := l.Blocked("a"); wait != time.Second {
		t.Errorf("a waits %s", wait)
	}
	l.Spend("b")
	for origin, want := range map[string]time.Duration{"a": time.Second, "b": time.Second, "c": 0} {
		if wait := l.Blocked(origin); wait != want {
			t.Errorf("all is spent: %s waits %s, want %s", origin, wait, want)
		}
	}
	if len(l.buckets) != 2 {
		t.Error("looking made a bucket")
	}
	clock.Time = clock.Add(time.Second)
	if wait := l.Blocked("b"); wait != 0 {
		t.Errorf("b waits %s", wait)
	}
}

// TestLongForgotten spends once: later that is no reason to be blocked.
func TestLongForgotten(t *testing.T) {
	l, clock := newTestLimiter(Rate{1, 2}, Rate{0.001, 2})
	l.Spend("a")
	clock.Time = clock.Add(time.Second)
	l.Spend("b")
	if wait := l.Blocked("b"); wait < time.Minute {
		t.Errorf("b waits %s", wait)
	}
	if wait := l.Blocked("a"); wait != 0 {
		t.Errorf("a waits %s", wait)
	}
}

func TestBucketsAreBounded(t *testing.T) {
	l, _ := newTestLimiter(Rate{1, 1}, Rate{1e9, 1e9})
	l.Take("first")
	for i := range maxBuckets - 1 {
		l.Take(fmt.Sprint(i))
	}
	if l.Take("first") == 0 {
		t.Error("the bucket of an address in use is gone")
	}
	l.Take("one more")
	if len(l.buckets) != maxBuckets || l.recent.Len() != maxBuckets {
		t.Errorf("%d buckets, %d in order", len(l.buckets), l.recent.Len())
	}
	if l.Take("0") != 0 {
		t.Error("the oldest bucket is still there")
	}
	if l.Take("first") == 0 {
		t.Error("the bucket of an address in use is gone")
	}
}

func TestNoRate(t *testing.T) {
	l, _ := newTestLimiter(Rate{1, 0}, Rate{1, 1})
	if wait := l.Take("a"); wait <= 0 {
		t.Errorf("waits %s", wait)
	}
}

func TestUnlimited(t *testing.T) {
	l, _ := newTestLimiter(Rate{1, 1000}, Unlimited())
	for range 1000 {
		if wait := l.Take("a"); wait != 0 {
			t.Fatalf("waits %s", wait)
		}
	}
	if l.Take("a") == 0 {
		t.Error("its own bucket does not count")
	}
}

func TestOrigins(t *testing.T) {
	for remote, want := range map[string]struct{ origin, address string }{
		"192.0.2.1:1234":                {"192.0.2.1", "192.0.2.1"},
		"[::ffff:192.0.2.1]:1234":       {"192.0.2.1", "::ffff:192.0.2.1"},
		"[2001:db8:1:2:3:4:5:6]:1":      {"2001:db8:1:2::/64", "2001:db8:1:2:3:4:5:6"},
		"[2001:db8:1:2:ffff::]:1":       {"2001:db8:1:2::/64", "2001:db8:1:2:ffff::"},
		"[fe80::1%eth0]:1":              {"fe80::/64", "fe80::1%eth0"},
		"@":                             {"unknown", "unknown"},
		"host:1":                        {"unknown", "host"},
		"":                              {"unknown", "unknown"},
		"192.0.2.1":                     {"unknown", "unknown"},
		"[2001:db8::1]":                 {"unknown", "unknown"},
		"2001:db8:1:2:3:4:5:6:1234:1:1": {"unknown", "unknown"},
	} {
		if origin, address := Origin(remote), Address(remote); origin != want.origin || address != want.address {
			t.Errorf("%s: got %s, %s; want %+v", remote, origin, address, want)
		}
	}
}
