package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Login is what "snpguard login" remembers of a service. It holds the token, so
// its file is for its owner alone.
type Login struct {
	URL          string `json:"url"`
	CA           string `json:"ca"`            // PEM, pinned; empty when publicly trusted
	IdentityKey  []byte `json:"identity_key"`  // Ed25519, confirmed
	IngestionKey []byte `json:"ingestion_key"` // HPKE, confirmed
	Token        string `json:"token"`
}

// ErrNoLogin is a machine on which nobody has logged in.
var ErrNoLogin = errors.New(`not logged in: run "snpguard login URL" first`)

// LoginVariable names the file with the login, where it is not the usual one.
const LoginVariable = "SNPGUARD_LOGIN"

// LoginPath returns where the login is kept: what LoginVariable says, or
// login.json in the directory snpguard of the user's configuration.
func LoginPath() (string, error) {
	if path := os.Getenv(LoginVariable); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "snpguard", "login.json"), nil
}

// ReadLogin reads a login. The error wraps ErrNoLogin when there is none.
func ReadLogin(path string) (*Login, error) {
	data, err := readLoginFile(path)
	if err != nil {
		return nil, err
	}
	var login Login
	if err := strictjson.Decode(data, &login); err != nil {
		return nil, fmt.Errorf("%s is not a file written by \"snpguard login\": %w; log in again", path, err)
	}
	if _, err := identity.Parse(login.IdentityKey); err != nil {
		return nil, fmt.Errorf("%s: identity_key: %w; log in again", path, err)
	}
	return &login, nil
}

// maxLogin bounds the file, in bytes.
const maxLogin = 1 << 20

// readLoginFile reads the file, which must be a file for its owner alone.
func readLoginFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Getenv(LoginVariable) == path:
		return nil, fmt.Errorf("%w; %s names %s, which does not exist", ErrNoLogin, LoginVariable, path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoLogin
	case err != nil:
		return nil, fmt.Errorf("the login cannot be read: %w; set %s to use another file", err, LoginVariable)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the login cannot be read: %s is a directory or device, want the file written by \"snpguard login\"", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s holds a token and others may read it (mode %o): run chmod 600, and revoke the token", path, info.Mode().Perm())
	}
	data, err := input.Whole(path, maxLogin)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the login cannot be read: %w: it belongs to another user; set %s to use another file", err, LoginVariable)
	}
	if err != nil {
		return nil, fmt.Errorf("the login cannot be read: %w", err)
	}
	return data, nil
}

// Write keeps a login, in place of an earlier one.
func (l *Login) Write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.IgnoreUmask())
}

// Client returns a client of the service.
func (l *Login) Client() (*Client, error) { return New(l.URL, l.CA, l.Token) }
