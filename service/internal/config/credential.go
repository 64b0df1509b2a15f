package config

import (
	"os"
	"path/filepath"
)

// CredentialKEK is the name of the key-encryption key among the credentials that
// systemd hands to a unit (systemd.exec(5), LoadCredential=).
const CredentialKEK = "snpguard.kek"

// credentialsDirectory is the variable with the directory that has them.
const credentialsDirectory = "CREDENTIALS_DIRECTORY"

// credential takes the KEK that systemd brings, unless --kek-file names one.
func (c *Config) credential(getenv func(string) (string, bool)) {
	dir, found := getenv(credentialsDirectory)
	if c.KEKFile != "" || !found || !filepath.IsAbs(dir) {
		return
	}
	// One that is there and cannot be read is an error later, not passed over.
	file := filepath.Join(dir, CredentialKEK)
	if _, err := os.Lstat(file); err == nil {
		c.KEKFile = file
	}
}
