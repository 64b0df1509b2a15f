package convert

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// Options of the service that errors about others name.
const (
	caFile       option.Name = "ca_file"
	identityKey  option.Name = "identity_key"
	ingestionKey option.Name = "ingestion_key"
)

// Service is what the image needs to know of the attestation service.
type Service struct {
	URLs         []string          // under which guests reach it, tried in turn
	CA           string            // PEM, the only roots of TLS
	IdentityKey  ed25519.PublicKey // that signs its answers
	IngestionKey *seal.PublicKey   // that unsealing keys are sealed to
}

func (s *Service) check() error {
	switch {
	case len(s.URLs) == 0:
		return option.Missingf("services", "no URL under which guests reach the service")
	case !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA)):
		return option.Errorf(caFile, "no CA certificate: guests trust this one alone, also where a service has a public certificate")
	case len(s.IdentityKey) == 0:
		return option.Missingf(identityKey, `the public key that signs the answers of the service; "snpguard keys" writes it`)
	case s.IngestionKey == nil:
		return option.Missingf(ingestionKey, `the public key of the service that unsealing keys are sealed to; "snpguard keys" writes it`)
	}
	_, err := identity.Parse(s.IdentityKey)
	return option.Wrap(identityKey, err)
}

// FindService returns what the image needs to know of the service: from the keys
// of the configuration, or else from the service itself or the login.
func (c *Config) FindService(ctx context.Context, s *client.Service) (Service, error) {
	const both = "it goes with %s: keys of two services open nothing; \"snpguard keys\" writes both"
	switch {
	case c.IdentityKey == "" && c.IngestionKey != "":
		return Service{}, option.Missingf(identityKey, both, ingestionKey)
	case c.IdentityKey != "" && c.IngestionKey == "":
		return Service{}, option.Missingf(ingestionKey, both, identityKey)
	}
	found, err := c.findService(ctx, s)
	if err == nil {
		err = found.check()
	}
	return found, err
}

func (c *Config) findService(ctx context.Context, s *client.Service) (Service, error) {
	given := c.IdentityKey != ""
	urls := c.Services
	if len(urls) == 0 && s.ServiceURL != "" {
		urls = []string{s.ServiceURL}
	}
	if given && len(urls) > 0 {
		return c.readKeys(urls, s.CAFile)
	}
	if given { // the address alone comes from the login
		login, err := (&client.Service{}).Login(ctx)
		if err != nil {
			return Service{}, err
		}
		return c.readKeys([]string{login.URL}, s.CAFile)
	}
	login, err := s.Login(ctx)
	if err != nil {
		return Service{}, err
	}
	if len(urls) == 0 {
		urls = []string{login.URL}
	}
	ingestion, err := seal.ParsePublicKey(login.IngestionKey)
	if err != nil {
		return Service{}, option.Errorf("service_url", "ingestion key of the service: %w", err)
	}
	return Service{URLs: urls, CA: login.CA, IdentityKey: login.IdentityKey, IngestionKey: ingestion}, nil
}

func (c *Config) readKeys(urls []string, ca string) (Service, error) {
	s := Service{URLs: urls}
	if ca == "" {
		return s, option.Missingf(caFile, `guests are told the CA together with %s and %s; "snpguard keys" writes all three`, identityKey, ingestionKey)
	}
	pem, err := client.ReadPEM(ca, client.MaxCA)
	if err != nil {
		return s, option.Wrap(caFile, err)
	}
	s.CA = string(pem)
	if s.IdentityKey, err = readKey(identityKey, c.IdentityKey, keyfile.ParseIdentity); err != nil {
		return s, err
	}
	s.IngestionKey, err = readKey(ingestionKey, c.IngestionKey, keyfile.ParsePublic)
	return s, err
}

// readKey reads a key from a file or from the PEM text itself.
func readKey[K any](name option.Name, text string, parse func([]byte) (K, error)) (K, error) {
	var none K
	data, err := client.ReadPEM(text, keyfile.MaxSize)
	if err != nil {
		return none, option.Wrap(name, err)
	}
	key, err := parse(data)
	if err != nil {
		return none, option.Errorf(name, "%s: %w", shown(text), err)
	}
	return key, nil
}

// shown names a file; PEM text is not repeated.
func shown(text string) string {
	if client.IsPEM(text) {
		return "PEM text"
	}
	return text
}
