package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// maxAnswer bounds a JSON answer in bytes.
const maxAnswer = 64 << 20

// ErrService is an answer that is not one of a SnpGuard service.
var ErrService = errors.New("not the answer of a SnpGuard service")

// Client talks to one service with one token. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client

	pinned bool // a CA was given, and no other counts
}

// New returns a client. ca is the PEM of the service's private CA, or empty
// when its certificate is publicly trusted. The token may be empty for what
// needs none.
func New(service, ca, token string) (*Client, error) {
	base, err := parseURL(service)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("the service's CA is not a PEM certificate")
		}
	}
	return &Client{base: base, token: token, http: newHTTP(config), pinned: ca != ""}, nil
}

func newHTTP(config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 15 * time.Second, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		// An API does not move; following would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// parseURL wants https and a host, and no more than a path behind it.
func parseURL(service string) (*url.URL, error) {
	u, err := url.Parse(service)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("service address %q is not of the form https://HOST[:PORT]", service)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// request is one call of the API.
type request struct {
	method, path string
	query        url.Values
	body         io.Reader
	contentType  string
	accept       string // content type of the answer; empty for JSON
}

// open sends a request and returns the answer's body when its status is a
// success. The error is a *wire.Problem when the service sent one.
func (c *Client) open(ctx context.Context, r request) (io.ReadCloser, error) {
	u := *c.base
	u.Path += r.path
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), r.body)
	if err != nil {
		return nil, err
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask service: %w", c.explain(err))
	}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		return nil, problem(response)
	}
	accept := r.accept
	if accept == "" {
		accept = "application/json"
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); response.StatusCode != http.StatusNoContent && (err != nil || kind != accept) {
		response.Body.Close()
		return nil, fmt.Errorf("%w: content type %.60q, want %s", ErrService, response.Header.Get("Content-Type"), accept)
	}
	return response.Body, nil
}

// explain says what it means when a certificate is not below the CA that was pinned
// at login. Other errors come back as they are.
func (c *Client) explain(err error) error {
	if !c.pinned || !errors.As(err, new(x509.UnknownAuthorityError)) {
		return err
	}
	return fmt.Errorf("the certificate of %s was not issued by the expected CA: this is another service, or the connection is intercepted. "+
		"If the service was set up anew, log in again and compare its fingerprints: %w", c.base.Host, err)
}

// problem reads the error that a service sent.
func problem(response *http.Response) error {
	var p wire.Problem
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err == nil && kind == wire.ProblemContentType {
		err = readAnswer(response.Body, &p)
	}
	if err != nil || p.Code == "" {
		return fmt.Errorf("%w: status %s", ErrService, response.Status)
	}
	return &p
}

// call sends in as JSON, if there is one, and decodes the answer into out, if
// one is wanted.
func (c *Client) call(ctx context.Context, r request, in, out any) error {
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		r.body, r.contentType = bytes.NewReader(body), "application/json"
	}
	body, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		return nil
	}
	if err := readAnswer(body, out); err != nil {
		return fmt.Errorf("%w: %w", ErrService, err)
	}
	return nil
}

// readAnswer reads an answer strictly, but for fields that a service newer than
// this program may add.
func readAnswer(body io.Reader, out any) error {
	answer, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(answer) > maxAnswer {
		return fmt.Errorf("more than %s", size.Text(maxAnswer))
	}
	return strictjson.Rules{SkipUnknown: true}.Decode(answer, out)
}

// PublicInfo returns the service's public keys.
func (c *Client) PublicInfo(ctx context.Context) (*wire.PublicInfo, error) {
	var info wire.PublicInfo
	return &info, c.call(ctx, request{method: http.MethodGet, path: wire.PathPublicInfo}, nil, &info)
}

// Status returns what the service says of itself.
func (c *Client) Status(ctx context.Context) (*wire.Status, error) {
	var status wire.Status
	return &status, c.call(ctx, request{method: http.MethodGet, path: wire.PathStatus}, nil, &status)
}
