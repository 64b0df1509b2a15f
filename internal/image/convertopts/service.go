package convertopts

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/meet"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// service returns what the image needs to know of the service: from the keys that
// are given, or else from the service itself or the login.
func (c *Config) service(ctx context.Context, s *meet.Service) (convert.Service, error) {
	// Before anything is asked or read: a guest would only refuse it at boot.
	if len(c.Services) > 0 {
		if err := bootconf.CheckServices(c.Services); err != nil {
			return convert.Service{}, option.Wrap("services", err)
		}
	}
	given := c.IdentityKey != "" && c.IngestionKey != ""
	if !given && (c.IdentityKey != "" || c.IngestionKey != "") {
		return convert.Service{}, option.Errorf("identity_key", "goes with ingestion_key: keys of two services open nothing; \"snpguard keys\" writes both")
	}
	urls := c.Services
	if len(urls) == 0 && s.ServiceURL != "" {
		urls = []string{s.ServiceURL}
	}
	if given && len(urls) > 0 {
		return c.readKeys(urls, s.CAFile)
	}
	if given { // the address alone comes from the login
		login, err := (&meet.Service{}).Login(ctx)
		if err != nil {
			return convert.Service{}, err
		}
		return c.readKeys([]string{login.URL}, s.CAFile)
	}
	login, err := s.Login(ctx)
	if err != nil {
		return convert.Service{}, err
	}
	if len(urls) == 0 {
		urls = []string{login.URL}
	}
	ingestion, err := seal.ParsePublicKey(login.IngestionKey)
	if err != nil {
		return convert.Service{}, option.Errorf("service_url", "ingestion key of the service: %w", err)
	}
	return convert.Service{URLs: urls, CA: login.CA, IdentityKey: login.IdentityKey, IngestionKey: ingestion}, nil
}

func (c *Config) readKeys(urls []string, caFile string) (convert.Service, error) {
	s := convert.Service{URLs: urls}
	if caFile == "" {
		return s, option.Errorf("ca_file", "is missing: guests are told the CA together with identity_key and ingestion_key; \"snpguard keys\" writes all three")
	}
	ca, err := meet.ReadPEM(caFile, meet.MaxCA)
	if err != nil {
		return s, option.Wrap("ca_file", err)
	}
	s.CA = string(ca)
	if s.IdentityKey, err = readKey("identity_key", c.IdentityKey, keyfile.ParseIdentity); err != nil {
		return s, err
	}
	s.IngestionKey, err = readKey("ingestion_key", c.IngestionKey, keyfile.ParsePublic)
	return s, err
}

// readKey reads a key from a file or from the PEM text itself.
func readKey[K any](name, text string, parse func([]byte) (K, error)) (K, error) {
	var none K
	data, err := meet.ReadPEM(text, keyfile.MaxSize)
	if err != nil {
		return none, option.Wrap(name, err)
	}
	key, err := parse(data)
	if err != nil {
		return none, option.Wrap(name, fmt.Errorf("%s: %w", shown(text), err))
	}
	return key, nil
}

// shown names a file; PEM text is not repeated.
func shown(text string) string {
	if meet.IsPEM(text) {
		return "PEM text"
	}
	return text
}
