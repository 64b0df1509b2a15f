package client

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TokenVariable holds an API token.
const TokenVariable = "SNPGUARD_TOKEN"

// Options that errors about others name.
const (
	optionCAFile      option.Name = "ca_file"
	optionFingerprint option.Name = "fingerprint"
)

// MaxCA bounds a file with a CA, in bytes.
const MaxCA = 64 << 10

// Login returns the service's address and keys, after it has proved to be the
// one that is meant: by its CA, by its CA's fingerprint, by an earlier
// "snpguard login" or by a publicly trusted certificate. There is a token in it
// only when the login has one. Errors about an option are an *option.Error.
func (s *Service) Login(ctx context.Context) (*Login, error) {
	switch {
	case s.CAFile != "" && s.Fingerprint != "":
		return nil, option.Excludesf("fingerprint", "excludes %s: give one of them", optionCAFile)
	case s.ServiceURL == "" && (s.CAFile != "" || s.Fingerprint != ""):
		return nil, option.Missingf("service_url", "%s and %s need it", optionCAFile, optionFingerprint)
	case s.CAFile != "":
		return s.byCA(ctx)
	}
	remembered, err := readLogin()
	switch {
	case s.Fingerprint != "":
		return s.byFingerprint(ctx)
	case err == nil && (s.ServiceURL == "" || same(s.ServiceURL, remembered.URL)):
		return remembered, nil
	case s.ServiceURL == "" && errors.Is(err, ErrNoLogin):
		return nil, option.Missingf("service_url", "this machine is %w", err)
	case s.ServiceURL == "":
		return nil, option.Missingf("service_url", "%w", err)
	}
	return s.public(ctx)
}

func readLogin() (*Login, error) {
	path, err := LoginPath()
	if err != nil {
		return nil, err
	}
	return ReadLogin(path)
}

func same(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// byCA asks for the service's keys over a connection that only the CA's holder
// can answer.
func (s *Service) byCA(ctx context.Context) (*Login, error) {
	ca, err := ReadPEM(s.CAFile, MaxCA)
	if err != nil {
		return nil, option.Wrap("ca_file", err)
	}
	c, err := New(s.ServiceURL, string(ca), "")
	if err != nil {
		return nil, option.Wrap("service_url", err)
	}
	info, err := c.PublicInfo(ctx)
	if err != nil {
		return nil, option.Wrap("service_url", err)
	}
	return login(s.ServiceURL, string(ca), info)
}

// byFingerprint takes the CA that the service names, if it is the one.
func (s *Service) byFingerprint(ctx context.Context) (*Login, error) {
	want, err := ParseFingerprint(s.Fingerprint)
	if err != nil {
		return nil, option.Wrap("fingerprint", err)
	}
	found, err := Discover(ctx, s.ServiceURL)
	if err != nil {
		return nil, option.Wrap("service_url", err)
	}
	if found.Info.CAFingerprint != want {
		return nil, option.Errorf("fingerprint", "the CA of %s is %s, not %s: this is another service, or the connection is intercepted",
			s.ServiceURL, found.Info.CAFingerprint, want)
	}
	return login(s.ServiceURL, found.Info.CACertificate, &found.Info)
}

// public takes a service whose certificate the machine's own roots vouch for.
func (s *Service) public(ctx context.Context) (*Login, error) {
	found, err := Discover(ctx, s.ServiceURL)
	if err != nil {
		return nil, option.Wrap("service_url", err)
	}
	if !found.PubliclyTrusted {
		return nil, option.Errorf("service_url", "the certificate of %s is not issued by a CA that this machine trusts: give %s or %s, "+
			`or run "snpguard login %s" first`, s.ServiceURL, optionFingerprint, optionCAFile, s.ServiceURL)
	}
	return login(s.ServiceURL, "", &found.Info)
}

func login(url, ca string, info *wire.PublicInfo) (*Login, error) {
	key, err := identity.Parse(info.IdentityKey)
	if err != nil {
		return nil, option.Errorf("service_url", "%w: identity key: %w", ErrService, err)
	}
	if len(info.IngestionKey) != wire.PublicKeySize {
		return nil, option.Errorf("service_url", "%w: its ingestion key has %d bytes, want %d", ErrService, len(info.IngestionKey), wire.PublicKeySize)
	}
	return &Login{URL: url, CA: ca, IdentityKey: key, IngestionKey: info.IngestionKey}, nil
}

// Connect returns a client that has a token: of the options, of the environment
// or of the login of the same service. The service has taken the token.
func (s *Account) Connect(ctx context.Context) (*Client, *Login, error) {
	l, err := s.Login(ctx)
	if err != nil {
		return nil, nil, err
	}
	if l.Token, err = s.token(l); err != nil {
		return nil, nil, err
	}
	c, err := l.Client()
	if err != nil {
		return nil, nil, option.Wrap("service_url", err)
	}
	if _, err := c.Status(ctx); err != nil {
		return nil, nil, option.Wrap(blame(err), err)
	}
	return c, l, nil
}

// blame names the option that a refused request is about.
func blame(err error) option.Name {
	var problem *wire.Problem
	if errors.As(err, &problem) && (problem.Code == wire.CodeUnauthenticated || problem.Code == wire.CodeForbidden) {
		return "token"
	}
	return "service_url"
}

func (s *Account) token(l *Login) (string, error) {
	if s.Token != "" {
		return s.Token, nil
	}
	if token := os.Getenv(TokenVariable); token != "" {
		return token, nil
	}
	if l.Token != "" {
		return l.Token, nil
	}
	if remembered, err := readLogin(); err == nil && same(s.ServiceURL, remembered.URL) && same(l.CA, remembered.CA) {
		return remembered.Token, nil
	}
	return "", option.Missingf("token", `give it, set %s or run "snpguard login"`, TokenVariable)
}

// IsPEM tells PEM text from the name of a file.
func IsPEM(text string) bool { return strings.HasPrefix(text, "-----BEGIN ") }

// ReadPEM returns what a template says about a key or certificate: PEM itself, as
// data sources give it, or the name of a file with it.
func ReadPEM(text string, limit int64) ([]byte, error) {
	if IsPEM(text) {
		return []byte(text), nil
	}
	return input.Whole(text, limit)
}
