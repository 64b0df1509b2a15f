package kds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// maxHeaderSize bounds the header of an answer, in bytes.
const maxHeaderSize = 64 << 10

// fetcher asks KDS. It knows nothing of what the answers mean.
type fetcher struct {
	base string
	http *http.Client
	pace Pace
	gate *gate
	now  func() time.Time
}

// newHTTPClient returns a client for KDS: the caller's, or one with bounded
// headers and without compression. Redirects are not followed.
func newHTTPClient(from *http.Client) *http.Client {
	var c http.Client
	if from != nil {
		c = *from
	} else {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderSize,
			IdleConnTimeout:        time.Minute,
			TLSHandshakeTimeout:    10 * time.Second,
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// get returns the body of what the key names, after at most so many attempts. The
// error wraps errNotFound, ErrAnswer or ErrUnavailable.
func (f *fetcher) get(ctx context.Context, key Key, e effort) ([]byte, error) {
	deadline := f.now().Add(f.pace.Timeout)
	for attempt := 1; ; attempt++ {
		leave, err := f.gate.enter(ctx, e.lane, deadline)
		if err != nil {
			return nil, err
		}
		body, err := f.once(ctx, key)
		leave()
		if !errors.Is(err, ErrUnavailable) || attempt == e.attempts {
			return body, err
		}
		var refusal *refusalError
		if errors.As(err, &refusal) {
			continue // the gate waits
		}
		wait := f.pace.backoff(attempt)
		if f.now().Add(wait).After(deadline) {
			return nil, err
		}
		if f.gate.sleep(ctx, wait) != nil {
			return nil, err
		}
	}
}

// refusalError is a KDS that wants fewer requests.
type refusalError struct {
	status     int
	retryAfter time.Duration
}

func (e *refusalError) Error() string {
	return fmt.Sprintf("it answers %d %s", e.status, http.StatusText(e.status))
}

// once makes one request.
func (f *fetcher) once(ctx context.Context, key Key) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.pace.RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+urlPath(key), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	if err := f.checkStatus(resp); err != nil {
		return nil, err
	}
	limit := int64(key.MaxSize())
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: read answer: %w", ErrUnavailable, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: it has more than %s", ErrAnswer, size.Text(limit))
	}
	return body, nil
}

// checkStatus sorts the status codes of 57230 rev. 1.00, section 4.1 into those
// that a later attempt may change and those that it will not.
func (f *fetcher) checkStatus(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		refusal := &refusalError{code, retryAfter(resp.Header.Get("Retry-After"), f.now())}
		f.gate.refused(refusal.retryAfter)
		return fmt.Errorf("%w: %w", ErrUnavailable, refusal)
	case code >= 500:
		return fmt.Errorf("%w: it answers %d %s", ErrUnavailable, code, http.StatusText(code))
	case code == http.StatusNotFound:
		f.gate.answered()
		return errNotFound
	case code != http.StatusOK:
		f.gate.answered()
		return fmt.Errorf("%w: status %d %s", ErrAnswer, code, http.StatusText(code))
	}
	f.gate.answered()
	return nil
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, section
// 10.2.3). What it cannot read is no wait.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return date.Sub(now)
	}
	return 0
}
