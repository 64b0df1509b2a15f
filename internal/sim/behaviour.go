package sim

import (
	"math/big"
	"net/http"
	"strconv"
	"time"
)

// Behaviour says what goes wrong at a simulated KDS. The zero value serves
// everything at once and correctly.
type Behaviour struct {
	// The next Fail requests are answered with FailStatus, such as 429 or 500. With
	// a RetryAfter they say so, in whole seconds.
	Fail       int
	FailStatus int
	RetryAfter time.Duration

	// More than Limit requests a Window are answered with 429 and a Retry-After
	// until the window ends. Limit 0 is no limit.
	Limit  int
	Window time.Duration

	// Before runs before each answer; it can block or slow down.
	Before func(*http.Request)

	// Unknown names the chips that KDS does not know. Chip ID zero is always unknown.
	Unknown func(Chip) bool

	// Tamper changes the body of an answer with status 200.
	Tamper func(path string, body []byte) []byte

	CRL CRLBehaviour
}

// CRLBehaviour says what the CRLs contain. The zero value gives CRL number 1 that
// revokes nothing, from a day ago to a year later.
type CRLBehaviour struct {
	Number     int64 // 0 means 1
	ThisUpdate time.Time
	NextUpdate time.Time
	Revoked    []*big.Int // serial numbers
	Signer     *Authority // nil means the product line's ARK
}

// window counts requests for Behaviour.Limit.
type window struct {
	start time.Time
	count int
}

// failure is an answer that is not what was asked for.
type failure struct {
	status     int
	retryAfter time.Duration
}

func (f *failure) serve(w http.ResponseWriter) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.retryAfter+time.Second-1)/time.Second)))
	}
	http.Error(w, http.StatusText(f.status), f.status)
}

// admit records a request and decides whether it fails.
func (k *KDS) admit(r *http.Request) (Behaviour, *failure) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, r.URL.String())
	b := &k.behaviour
	if b.Fail > 0 {
		b.Fail--
		return *b, &failure{b.FailStatus, b.RetryAfter}
	}
	if b.Limit > 0 {
		now := k.amd.clock()
		if now.Sub(k.window.start) >= b.Window {
			k.window = window{start: now}
		}
		if k.window.count++; k.window.count > b.Limit {
			return *b, &failure{http.StatusTooManyRequests, b.Window - now.Sub(k.window.start)}
		}
	}
	return *b, nil
}
