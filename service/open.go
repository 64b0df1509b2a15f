package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/certchain"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/metrics"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/update"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/web"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// service is everything that runs.
type service struct {
	cfg      config.Config
	log      *slog.Logger
	lock     *os.File // on the data directory
	store    *store.Store
	kek      *keyring.KEK
	keys     *keyring.Keyring
	names    keyring.Names
	roots    *attest.Roots
	cache    kds.Cache
	kds      *kds.Client
	metrics  *metrics.Metrics
	info     wire.PublicInfo
	images   *registry.Registry
	accounts *access.Accounts
	desk     *oversight.Desk
	api      *api.API
	pages    *web.Web
	tls      *tls.Config
	janitor  *background.Janitor
	presence *background.Presence
	watch    *background.Watch
	tally    *unlock.Tally

	status    wire.Status // without what changes
	maxUpload int64       // bytes of a registration
}

// open opens database and keys, makes them when this is the first start, and
// puts the parts together.
func open(ctx context.Context, cfg config.Config, log *slog.Logger) (*service, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	s := &service{cfg: cfg, log: log, names: keyring.ParseNames(cfg.Hostnames), metrics: metrics.New()}
	var err error
	if s.lock, err = lockData(cfg.Data); err != nil {
		return nil, err
	}
	if s.store, err = store.Open(ctx, cfg.Database, store.Options{}); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	s.metrics.Store(s.store.Stats)
	if err := s.assemble(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// close ends what may still write to the database, then closes it.
func (s *service) close() error {
	if s.kds != nil {
		s.kds.Close()
	}
	return errors.Join(s.store.Close(), s.lock.Close())
}

func (s *service) assemble(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.openKeys, s.openTLS, s.openRoots, s.checkKind, s.openKDS, s.openAPI, s.openPages, s.openWatch} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) openKeys(ctx context.Context) error {
	made, err := keyring.Made(ctx, s.store)
	if err != nil {
		return err
	}
	// A new KEK beside old keys would be of no use, and be taken for the right one.
	s.kek, err = keyring.LoadKEK(s.cfg.KEKFile, !made)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; %s", err, putBackKEK)
	}
	if err != nil {
		return err
	}
	if made {
		err = s.kek.Fits(ctx, s.store)
	}
	if err == nil {
		err = s.store.Authenticate(ctx, s.kek.RowKey())
	}
	if err == nil {
		s.keys, err = keyring.Open(ctx, s.store, s.kek)
	}
	if errors.Is(err, keyring.ErrWrongKEK) {
		return fmt.Errorf("%s: %w; %s", s.cfg.KEKFile, err, putBackKEK)
	}
	if err != nil {
		return err
	}
	identity, ok := s.keys.Identity.Public().(ed25519.PublicKey)
	if !ok {
		return errors.New("identity key is not Ed25519")
	}
	ingestion := s.keys.Ingestion.Public().Bytes()
	s.info = wire.PublicInfo{
		Version: version.String(), IngestionKey: ingestion, IdentityKey: identity,
		IngestionKeyFingerprint: fingerprint(ingestion), IdentityKeyFingerprint: fingerprint(identity),
	}
	if s.cfg.TLSCert == "" {
		s.info.CACertificate = s.keys.Authority.PEM()
		s.info.CAFingerprint = fingerprint(s.keys.Authority.Certificate.Raw)
	}
	return nil
}

// putBackKEK says what to do without the KEK.
const putBackKEK = "the database already has keys: restore the key-encryption key that they are sealed under, or name its file with --kek-file"

func fingerprint(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// openRoots trusts AMD, or in its place a simulated AMD, loudly.
func (s *service) openRoots(context.Context) error {
	if s.cfg.InsecureRoot == "" {
		s.roots = attest.AMDRoots()
		return nil
	}
	data, err := os.ReadFile(s.cfg.InsecureRoot)
	if err != nil {
		return fmt.Errorf("--insecure-trust-root: %w", err)
	}
	certs, err := attest.ParseCertificates(data)
	if err != nil {
		return fmt.Errorf("--insecure-trust-root %s: %w", s.cfg.InsecureRoot, err)
	}
	if s.roots, err = attest.NewRoots(certs); err != nil {
		return fmt.Errorf("--insecure-trust-root %s: %w", s.cfg.InsecureRoot, err)
	}
	s.info.Simulated = true
	s.metrics.Simulated()
	s.log.Warn(simulatedWarning, "root", s.cfg.InsecureRoot)
	return nil
}

// checkKind refuses a database with images of the other kind: the keys of genuine
// images would be asked for with reports of a simulated AMD.
func (s *service) checkKind(ctx context.Context) error {
	name, err := s.store.ImageOfKind(ctx, !s.info.Simulated)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case s.info.Simulated:
		return fmt.Errorf("--insecure-trust-root: the database has images that were registered under AMD's own roots, such as %q: never simulate with it", name)
	}
	return fmt.Errorf("the database has images that were registered under a simulated AMD, such as %q: start with --insecure-trust-root, or with a new database", name)
}

const simulatedWarning = "a SIMULATED AMD is trusted in place of AMD: attestation proves nothing"

func (s *service) openKDS(context.Context) error {
	mode, err := kds.ParseFailMode(s.cfg.CRL)
	if err != nil {
		return err
	}
	s.cache = s.metrics.KDSCache(s.store.KDSCache())
	s.kds, err = kds.New(kds.Config{
		BaseURL: s.cfg.KDS, Offline: s.cfg.KDSOffline, Cache: s.cache, Roots: s.roots.ARKs, Known: s.roots.ASKs, Log: s.log,
		HTTP:       &http.Client{Transport: s.metrics.KDSTransport(http.DefaultTransport)},
		Revocation: kds.Revocation{Mode: mode, MaxStale: s.cfg.CRLMaxStale},
		Seen:       s.store.KDSCache().Seen, Refused: s.metrics.KDSRefused,
	})
	return err
}

func (s *service) openArtifacts() (artifact.Store, error) {
	if s.cfg.Artifacts == "database" {
		return artifact.OpenDatabase(s.store, time.Now), nil
	}
	return artifact.OpenFiles(filepath.Join(s.cfg.Data, "artifacts"))
}

func (s *service) openAPI(ctx context.Context) error {
	artifacts, err := s.openArtifacts()
	if err != nil {
		return err
	}
	passwords := access.NewPasswords(s.store, s.kek, access.DefaultParams(), time.Now)
	password, err := passwords.Init(ctx)
	if err != nil {
		return err
	}
	if password != "" {
		s.announce(password)
	}
	s.janitor = &background.Janitor{Store: s.store, Artifacts: artifacts, Now: time.Now, Log: s.log}
	limits := registry.DefaultLimits()
	limits.Firmware, limits.Kernel, limits.Initrd = s.cfg.MaxFirmware, s.cfg.MaxKernel, s.cfg.MaxInitrd
	gate := access.NewGate(s.store, access.DefaultLimits(), time.Now)
	rates := api.DefaultLimits()
	rates.Attestation.PerSecond, rates.AttestationAll.PerSecond = s.cfg.RatePerAddress, s.cfg.RateTotal
	s.images = registry.New(registry.Config{
		Store: s.store, Gate: gate, Artifacts: artifacts, KEK: s.kek, Ingestion: s.keys.Ingestion, Identity: s.keys.Identity,
		Limits: limits, Simulated: s.info.Simulated, Log: s.log,
	})
	s.status, s.maxUpload = s.newStatus(), s.images.MaxUpload()
	s.accounts = &access.Accounts{
		Store: s.store, Gate: gate, Tokens: access.NewTokens(s.store, s.keys.Lookup, time.Now),
		Sessions: access.NewSessions(s.store, s.keys.Lookup, time.Now), Passwords: passwords, Failures: access.NewFailures(time.Now),
	}
	s.desk = &oversight.Desk{Store: s.store, Gate: gate, KDS: s.kds, KDSCache: s.cache}
	unlocker := s.newUnlocker()
	updater := update.New(update.Config{
		Prover: unlocker.Recalling(), Fleet: s.store, Bundles: s.images, Identity: s.keys.Identity, Key: s.keys.Nonce, Now: time.Now,
	})
	s.api = api.New(api.Config{
		Store: s.store, Registry: s.images, Accounts: s.accounts, Desk: s.desk,
		Unlocker: unlocker, Updater: updater, KDSInfo: wire.KDSStatus{BaseURL: s.cfg.KDS, Offline: s.cfg.KDSOffline},
		Booter: instance.New(instance.Config{Prover: unlocker, Log: s.store, Shares: s.kek, Identity: s.keys.Identity, Now: time.Now}),
		Info:   s.info, Status: s.status, Limits: rates, Log: s.log, Observe: s.metrics.Request,
	})
	return nil
}

func (s *service) newUnlocker() *unlock.Service {
	s.tally = unlock.NewTally(s.store, func(err error) { s.log.Error("counted denials are not recorded yet", "error", err) })
	return unlock.New(unlock.Config{
		Nonces: nonce.NewIssuer(s.keys.Nonce, time.Now), Launches: s.store, Instances: s.store, Shares: s.kek, Tally: s.tally,
		Verifier: attest.NewVerifier(s.roots), Endorser: certchain.Source{Client: s.kds},
		Ingestion: s.keys.Ingestion, Identity: s.keys.Identity, Simulated: s.info.Simulated, Now: time.Now, Log: s.log,
		Observe: func(reason audit.Reason, took time.Duration) {
			s.metrics.Unlock(outcome(reason), string(reason), took)
		},
		ObserveRollback: s.metrics.Rollback,
	})
}

// outcome returns the outcome of a reason, for the metrics.
func outcome(reason audit.Reason) string {
	switch reason {
	case audit.ReasonGranted, audit.ReasonGrantedAgain:
		return "granted"
	case audit.ReasonUndecided:
		return "undecided"
	}
	return "denied"
}

func (s *service) newStatus() wire.Status {
	status := wire.Status{Version: version.String(), StartedAt: time.Now().UTC(), Database: string(s.store.Backend()), Simulated: s.info.Simulated}
	if s.info.Simulated {
		status.Warnings = append(status.Warnings, simulatedWarning)
	}
	if s.cfg.CRL == "off" {
		status.Warnings = append(status.Warnings, "AMD's revocation lists are not checked (--crl off)")
	}
	return status
}

// announce prints the master password, this once and not into the log.
func (s *service) announce(password string) {
	address := s.cfg.Hostnames[0]
	if _, port, err := net.SplitHostPort(s.cfg.Listen); err == nil {
		address = net.JoinHostPort(address, port)
	}
	fmt.Fprintf(os.Stdout, `
First start. The master password, shown this once:

    %s

Log in with it from another machine and compare the fingerprints:

    snpguard login https://%s
    CA             %s
    identity key   %s
    ingestion key  %s

`, password, address, s.info.CAFingerprint, s.info.IdentityKeyFingerprint, s.info.IngestionKeyFingerprint)
}
