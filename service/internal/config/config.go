// Package config reads how the service is to run: from its command line, from
// SNPGUARD_* variables and from a file, which all say the same things in the
// same words. A flag wins over a variable, a variable over the file.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// Config is how the service runs.
type Config struct {
	Data        string   // directory of everything that is not in another place
	Listen      string   // address of the API
	AdminListen string   // address of health, metrics and profiles; empty for none
	Hostnames   []string // DNS names and IP addresses of the server certificate
	TLSCert     string   // PEM file; with TLSKey in place of the private CA
	TLSKey      string   // PEM file
	Database    string   // location of the database; empty for SQLite in Data
	Artifacts   string   // "files" in Data, or "database"; empty chooses by Database
	KEKFile     string   // file with the key-encryption key; empty for one in Data

	KDS          string        // address of AMD's KDS
	KDSOffline   bool          // use only cached and imported certificates
	CRL          string        // "strict", "cached" or "off"
	CRLMaxStale  time.Duration // how long an outdated list passes with "cached"
	InsecureRoot string        // PEM file with simulated ARKs; trusted instead of AMD's

	MaxFirmware, MaxKernel, MaxInitrd int64 // bytes of an upload

	RatePerAddress float64 // unlock attempts a second from one address
	RateTotal      float64 // and in all

	LogLevel  slog.Level
	LogFormat string // "json" or "text"
}

// ErrUsage is a configuration that cannot be meant.
var ErrUsage = errors.New("invalid configuration")

// flags declares every option, with its default, on a flag set.
func (c *Config) flags(f *pflag.FlagSet) {
	f.StringVar(&c.Data, "data", "/var/lib/snpguard", "directory for database, artifacts and keys")
	f.StringVar(&c.Listen, "listen", ":3000", "address of the HTTPS API")
	f.StringVar(&c.AdminListen, "admin-listen", "127.0.0.1:3001", "address of health, metrics and profiles, without TLS; empty for none")
	f.StringSliceVar(&c.Hostnames, "hostname", []string{"localhost", "127.0.0.1", "::1"}, "DNS name or IP address that clients use; may be repeated")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM file with a certificate chain to use instead of one from the private CA")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM file with the key of --tls-cert")
	f.StringVar(&c.Database, "database", "", "sqlite:PATH or postgres://... (default SQLite in --data)")
	f.StringVar(&c.Artifacts, "artifacts", "", "where uploads are kept: files or database (default files with SQLite, else database)")
	f.StringVar(&c.KEKFile, "kek-file", "", "file with the 32-byte key-encryption key (default systemd's credential snpguard.kek, else a file created in --data)")
	f.StringVar(&c.KDS, "kds", kds.AMD, "address of AMD's Key Distribution Service")
	f.BoolVar(&c.KDSOffline, "kds-offline", false, "use only cached and imported certificates")
	f.StringVar(&c.CRL, "crl", "strict", "without a current revocation list: strict (refuse), cached (accept an outdated one) or off (do not check)")
	c.CRLMaxStale = 7 * 24 * time.Hour
	f.Var((*option.Duration)(&c.CRLMaxStale), "crl-max-stale", "with --crl cached, how long a list is accepted after it has expired")
	f.StringVar(&c.InsecureRoot, "insecure-trust-root", "", "PEM file with a SIMULATED AMD's root, trusted instead of AMD's")
	c.MaxFirmware, c.MaxKernel, c.MaxInitrd = 64<<20, 256<<20, 1<<30
	f.Var((*bytesValue)(&c.MaxFirmware), "max-firmware", "largest firmware upload, such as 64M")
	f.Var((*bytesValue)(&c.MaxKernel), "max-kernel", "largest kernel upload")
	f.Var((*bytesValue)(&c.MaxInitrd), "max-initrd", "largest initrd upload")
	f.Float64Var(&c.RatePerAddress, "rate-per-address", 5, "attestation requests per second allowed from one address")
	f.Float64Var(&c.RateTotal, "rate-total", 2000, "attestation requests per second allowed in total")
	f.Var((*levelValue)(&c.LogLevel), "log-level", "DEBUG, INFO, WARN or ERROR")
	f.StringVar(&c.LogFormat, "log-format", "json", "json or text")
}

// finish fills in what depends on other options and refuses contradictions.
func (c *Config) finish() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("%w: give both --tls-cert and --tls-key, or neither", ErrUsage)
	}
	if len(c.Hostnames) == 0 || slices.Contains(c.Hostnames, "") {
		return fmt.Errorf("%w: --hostname is empty: give the DNS name or IP address that guests use to reach the service", ErrUsage)
	}
	sqlite := c.Database == ""
	if !sqlite && !knownDatabase(c.Database) {
		return fmt.Errorf("%w: --database: want sqlite:PATH or postgres://URL", ErrUsage)
	}
	if sqlite {
		c.Database = "sqlite:" + filepath.Join(c.Data, "snpguard.db")
	}
	if c.KEKFile == "" {
		c.KEKFile = filepath.Join(c.Data, "kek")
	}
	switch c.Artifacts {
	case "":
		c.Artifacts = "files"
		if !sqlite {
			c.Artifacts = "database"
		}
	case "files", "database":
	default:
		return fmt.Errorf("%w: --artifacts %q: want files or database", ErrUsage, c.Artifacts)
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		return fmt.Errorf("%w: --log-format %q: want json or text", ErrUsage, c.LogFormat)
	}
	if _, err := kds.ParseFailMode(c.CRL); err != nil {
		return fmt.Errorf("%w: --crl: %w", ErrUsage, err)
	}
	if c.RatePerAddress <= 0 || c.RateTotal <= 0 {
		return fmt.Errorf("%w: --rate-per-address and --rate-total: want more than 0 requests per second", ErrUsage)
	}
	return nil
}

// knownDatabase keeps a misspelt address from being taken for the name of a file.
func knownDatabase(location string) bool {
	for _, prefix := range []string{"sqlite:", "postgres://", "postgresql://"} {
		if strings.HasPrefix(location, prefix) {
			return true
		}
	}
	return false
}
