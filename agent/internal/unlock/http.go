package unlock

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
	callTimeout   = 45 * time.Second // a service may have to ask AMD
	dialTimeout   = 10 * time.Second
)

// errAnswer is an answer that is not one of a SnpGuard service.
var errAnswer = errors.New("not the answer of a SnpGuard service")

// ErrDenied is a service that refuses the key. Its operator's audit log says why.
var ErrDenied = errors.New("denied by the service")

// Dial opens a connection over one way out of this machine.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// client talks to one service.
type client struct {
	base string
	http *http.Client
}

// newClient speaks HTTP/1.1 only, follows no redirect, uses no proxy and keeps
// no connection.
func (s *Session) newClient(service string, dial Dial) (*client, error) {
	u, err := url.Parse(service)
	if err != nil {
		return nil, err
	}
	return &client{strings.TrimSuffix(service, "/"), &http.Client{
		Timeout: s.timeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return dial(ctx, network, address)
			},
			TLSClientConfig: tlsConfig(s.roots, u.Hostname()), TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: false,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// post sends in as JSON, nothing when it is nil, and decodes the answer.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return fmt.Errorf("%w: more than %d bytes", errAnswer, maxAnswer)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK {
		return refusal(response, kind, answer)
	}
	if kind != "application/json" {
		return fmt.Errorf("%w: content type %.60q", errAnswer, kind)
	}
	if err := answers().Decode(answer, out); err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	return nil
}

// answers are read strictly, but for fields that a service newer than this image
// may add.
func answers() strictjson.Rules { return strictjson.Rules{SkipUnknown: true} }

// refusal returns why the service gave no answer.
func refusal(response *http.Response, kind string, answer []byte) error {
	var p wire.Problem
	if kind != wire.ProblemContentType || answers().Decode(answer, &p) != nil || p.Code == "" {
		return fmt.Errorf("%w: status %d", errAnswer, response.StatusCode)
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
