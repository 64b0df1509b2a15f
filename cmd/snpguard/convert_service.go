package main

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/seal"
)

// maxCAFile bounds a file with CA certificates, in bytes.
const maxCAFile = 64 << 10

// readService takes the service's keys from the files that were named, and the
// rest from the login.
func (o *convertOptions) readService() error {
	s := &o.Service
	files := 0
	for _, path := range []string{o.caFile, o.identityFile, o.ingestionFile} {
		if path != "" {
			files++
		}
	}
	if files != 0 && (o.identityFile == "" || o.ingestionFile == "") {
		return usageErrorf("--ca-file, --identity-key and --ingestion-key belong together: keys of two services open nothing")
	}
	if files == 0 || len(s.URLs) == 0 {
		login, err := readLogin()
		if err != nil {
			return fmt.Errorf("%w, or give --service, --ca-file, --identity-key and --ingestion-key", err)
		}
		if len(s.URLs) == 0 {
			s.URLs = []string{login.URL}
		}
		if files == 0 {
			s.CA, s.IdentityKey = login.CA, login.IdentityKey
			if s.IngestionKey, err = seal.ParsePublicKey(login.IngestionKey); err != nil {
				return fmt.Errorf("ingestion key of the login: %w", err)
			}
			return nil
		}
	}
	return o.readKeyFiles()
}

func (o *convertOptions) readKeyFiles() error {
	s := &o.Service
	ca, err := readWhole(o.caFile, maxCAFile)
	if err != nil {
		return err
	}
	s.CA = string(ca)
	if s.IdentityKey, err = readKey(o.identityFile, "--identity-key", keyfile.ParseIdentity); err != nil {
		return err
	}
	s.IngestionKey, err = readKey(o.ingestionFile, "--ingestion-key", keyfile.ParsePublic)
	return err
}

// readLogin reads what "snpguard login" left.
func readLogin() (*client.Login, error) {
	path, err := loginPath()
	if err != nil {
		return nil, err
	}
	return client.ReadLogin(path)
}
