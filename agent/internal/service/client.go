// Package service talks to an attestation service from inside of a guest, over a
// network that is the host's. The service is known by the measured CA alone, and what
// it answers is bounded; whether an answer is this service's own is for who asks to
// check, by the measured identity key.
package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Bounds of what a service, or whoever sits before it, can make the agent do.
const (
	maxAnswer     = 64 << 10 // bytes of a body
	maxHeader     = 16 << 10 // bytes of headers
	maxRetryAfter = time.Minute
	dialTimeout   = 10 * time.Second

	CallTimeout = 45 * time.Second // of a call: a service may have to ask AMD
)

// ErrAnswer is an answer that is not one of a SnpGuard service.
var ErrAnswer = errors.New("not the answer of a SnpGuard service")

// ErrDenied is a service that refuses this guest. Its operator's audit log says why.
var ErrDenied = errors.New("denied by the service")

// Dial opens a connection over one way out of this machine.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Client talks to one service.
type Client struct {
	base string
	http *http.Client
}

// New returns a client of a service, a URL, that speaks HTTP/1.1 only, follows no
// redirect, uses no proxy and keeps no connection. timeout is of one call with its
// answer.
func New(roots Roots, service string, dial Dial, timeout time.Duration) (*Client, error) {
	u, err := url.Parse(service)
	if err != nil {
		return nil, err
	}
	return Over(&http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, address)
		},
		TLSClientConfig: tlsConfig(roots, u.Hostname()), TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: false,
	}, service, timeout), nil
}

// Over is New over another transport, for tests.
func Over(transport http.RoundTripper, service string, timeout time.Duration) *Client {
	return &Client{strings.TrimSuffix(service, "/"), &http.Client{
		Timeout: timeout, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Challenge gets a nonce.
func (c *Client) Challenge(ctx context.Context) ([]byte, error) {
	var challenge wire.Challenge
	if err := c.Post(ctx, wire.PathChallenge, nil, &challenge); err != nil {
		return nil, err
	}
	if err := challenge.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return challenge.Nonce, nil
}

// Post sends in as JSON, nothing when it is nil, and decodes the answer. The error
// may wrap ErrAnswer or ErrDenied.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := c.send(ctx, path, in, "application/json")
	if err != nil {
		return err
	}
	defer body.Close()
	answer, err := readAnswer(body)
	if err != nil {
		return err
	}
	if err := answers().Decode(answer, out); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}

// Fetch sends in as JSON and returns the answer's body, which is of this content type.
// It is as long as the service likes. The error is Post's.
func (c *Client) Fetch(ctx context.Context, path string, in any, contentType string) (io.ReadCloser, error) {
	return c.send(ctx, path, in, contentType)
}

// send returns the body of an answer that is good and of this content type.
func (c *Client) send(ctx context.Context, path string, in any, contentType string) (io.ReadCloser, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusOK && kind == contentType {
		return response.Body, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil, fmt.Errorf("%w: content type %.60q", ErrAnswer, kind)
	}
	answer, err := readAnswer(response.Body)
	if err != nil {
		return nil, err
	}
	return nil, refusal(response, kind, answer)
}

func readAnswer(body io.Reader) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxAnswer)
	}
	return answer, nil
}

// answers are read strictly, but for fields that a service newer than this image
// may add.
func answers() strictjson.Rules { return strictjson.Rules{SkipUnknown: true} }

// refusal returns why the service gave no answer.
func refusal(response *http.Response, kind string, answer []byte) error {
	var p wire.Problem
	if kind != wire.ProblemContentType || answers().Decode(answer, &p) != nil || p.Code == "" {
		return fmt.Errorf("%w: status %d", ErrAnswer, response.StatusCode)
	}
	if p.Code == wire.CodeDenied {
		return fmt.Errorf("%w (request %s)", ErrDenied, p.RequestID)
	}
	err := fmt.Errorf("service answers %q (request %s)", p.Code, p.RequestID)
	if seconds, bad := strconv.Atoi(response.Header.Get("Retry-After")); bad == nil && seconds > 0 {
		return retry.After(err, min(time.Duration(min(seconds, 3600))*time.Second, maxRetryAfter))
	}
	return err
}
