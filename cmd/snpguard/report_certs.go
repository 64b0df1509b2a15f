package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Bounds of what is read of --certs. A certificate takes some 10 KiB of memory.
const (
	maxCertFiles = 10_000
	maxPoolCerts = 10_000
)

// checkSources refuses more than one source of certificates.
func (o *verifyOptions) checkSources() error {
	sources := 0
	for _, given := range []bool{o.vek != "" || o.ask != "" || o.ark != "", o.certs != "", o.kds != ""} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return usageErrorf("--vek, --ask and --ark, --certs, and --kds exclude each other")
	}
	return nil
}

// givenChain returns the certificates of the flags, or those that came with the
// report. It may be empty. A *attest.Refusal says that one is malformed.
func (o *verifyOptions) givenChain(report *snp.Report, table *snp.CertTable) (attest.Chain, error) {
	var chain attest.Chain
	if o.vek == "" {
		var err error
		if chain, err = attest.TableChain(report, table); err != nil {
			return chain, err
		}
	}
	err := o.readChain(&chain)
	return chain, err
}

// certSource is where certificates come from that neither flags nor the report
// brought.
type certSource interface {
	// chains returns the chains to try for a report. vek is the certificate that
	// came with it, or nil. A *attest.Refusal says that there is no chain.
	chains(ctx context.Context, r *snp.Report, vek []byte) ([]attest.Chain, error)

	// accept has the last word on a chain that verified a report.
	accept(ctx context.Context, v *attest.Verified) error
}

// source returns where to look for certificates, or nil.
func (o *verifyOptions) source(roots *attest.Roots) (certSource, error) {
	switch {
	case o.certs != "":
		return dirSource(o.certs), nil
	case o.kds != "":
		return newKDSSource(o.kds, roots)
	}
	return nil, nil
}

// dirSource is a directory of certificates.
type dirSource string

// chains implements certSource.
func (dir dirSource) chains(_ context.Context, r *snp.Report, vek []byte) ([]attest.Chain, error) {
	pool, err := readPool(string(dir))
	if err != nil {
		return nil, err
	}
	if vek != nil {
		cert, err := attest.ParseCertificate(vek)
		if err != nil {
			return nil, err
		}
		pool.Add(cert)
	}
	return pool.Chains(r)
}

// accept implements certSource.
func (dirSource) accept(context.Context, *attest.Verified) error { return nil }

// readChain puts the certificates that flags name into a chain.
func (o *verifyOptions) readChain(chain *attest.Chain) error {
	for _, part := range []struct {
		flag, path string
		out        *[]byte
		fits       func(*x509.Certificate) bool // of several, the one that is meant
	}{
		{"--vek", o.vek, &chain.VEK, func(c *x509.Certificate) bool { return !c.IsCA }},
		{"--ask", o.ask, &chain.ASK, func(c *x509.Certificate) bool { return c.IsCA && !selfIssued(c) }},
		{"--ark", o.ark, &chain.ARK, selfIssued},
	} {
		if part.path == "" {
			continue
		}
		data, err := readBounded(part.path, attest.MaxCertificatesSize+1)
		if err != nil {
			return err
		}
		cert, err := oneCertificate(data, part.fits)
		if err != nil {
			return &attest.Refusal{Reason: attest.ReasonCertificateFormat, Subject: part.flag, Err: err}
		}
		*part.out = cert.Raw
	}
	return nil
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// oneCertificate returns the only certificate in data or, from a chain as KDS
// serves it, the only one that fits.
func oneCertificate(data []byte, fits func(*x509.Certificate) bool) (*x509.Certificate, error) {
	certs, err := attest.ParseCertificates(data)
	if err != nil {
		return nil, err
	}
	if len(certs) == 1 {
		return certs[0], nil
	}
	var found []*x509.Certificate
	for _, cert := range certs {
		if fits(cert) {
			found = append(found, cert)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d of %d certificates match, want one", len(found), len(certs))
	}
	return found[0], nil
}

// readPool reads every certificate below a directory. Files that hold none are
// passed over.
func readPool(dir string) (*attest.Pool, error) {
	pool, files := &attest.Pool{}, 0
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a link to nowhere
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > attest.MaxCertificatesSize {
			return nil
		}
		if files++; files > maxCertFiles {
			return fmt.Errorf("%s: more than %d files", dir, maxCertFiles)
		}
		data, err := readBounded(path, attest.MaxCertificatesSize+1)
		if err != nil {
			return err
		}
		if certs, err := attest.ParseCertificates(data); err == nil {
			pool.Add(certs...)
		}
		if pool.Len() > maxPoolCerts {
			return fmt.Errorf("%s: more than %d certificates", dir, maxPoolCerts)
		}
		return nil
	})
	return pool, err
}
