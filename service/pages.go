package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/certchain"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/web"
)

// openPages makes the dashboard.
func (s *service) openPages(context.Context) error {
	s.presence = &background.Presence{Store: s.store, Log: s.log, Replica: store.Replica{
		ID: wire.NewUUID(), Name: s.replicaName(), Version: s.status.Version, StartedAt: s.status.StartedAt,
	}}
	var authority *x509.Certificate
	if s.cfg.TLSCert == "" {
		authority = s.keys.Authority.Certificate
	}
	var err error
	s.pages, err = web.New(web.Config{
		Store: s.store, Registry: s.images, Accounts: s.accounts, Desk: s.desk, KDSCache: s.store.KDSCache(), Pace: api.DefaultLimits().Pace,
		Verifier: attest.NewVerifier(s.roots), Endorser: certchain.Source{Client: s.kds},
		Info: s.info, Status: s.status, KDS: wire.KDSStatus{BaseURL: s.cfg.KDS, Offline: s.cfg.KDSOffline}, CRL: s.cfg.CRL,
		Replica: s.presence.Replica.ID, Certificate: s.serverCertificate, CA: authority, MaxUpload: s.maxUpload, Log: s.log,
	})
	return err
}

// replicaName tells replicas apart: the machine, and the port where several run
// on one.
func (s *service) replicaName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	if _, port, err := net.SplitHostPort(s.cfg.Listen); err == nil && port != "0" {
		return net.JoinHostPort(host, port)
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// openTLS uses the operator's certificate, or one by the private CA.
func (s *service) openTLS(context.Context) error {
	s.tls = &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}
	if s.cfg.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", s.cfg.TLSCert, s.cfg.TLSKey, err)
		}
		s.tls.Certificates = []tls.Certificate{certificate}
		return nil
	}
	var err error
	s.tls.GetCertificate, err = s.keys.Authority.ServerCertificate(s.names)
	return err
}

// serverCertificate returns the certificate that clients see now.
func (s *service) serverCertificate() (*x509.Certificate, error) {
	var current *tls.Certificate
	if s.tls.GetCertificate != nil {
		var err error
		if current, err = s.tls.GetCertificate(nil); err != nil {
			return nil, err
		}
	} else {
		current = &s.tls.Certificates[0]
	}
	if len(current.Certificate) == 0 {
		return nil, errors.New("there is no server certificate")
	}
	return x509.ParseCertificate(current.Certificate[0])
}
