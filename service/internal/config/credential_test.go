package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
)

// TestCredential: the KEK comes from systemd when it brings one, unless --kek-file
// names another; without one it is in --data.
func TestCredential(t *testing.T) {
	with, without := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(with, config.CredentialKEK), make([]byte, 32), 0o400); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		directory string
		args      []string
		want      string
	}{
		"a credential":           {with, nil, filepath.Join(with, config.CredentialKEK)},
		"other credentials":      {without, nil, "/d/kek"},
		"no systemd":             {"", nil, "/d/kek"},
		"a relative directory":   {"credentials", nil, "/d/kek"},
		"a flag wins":            {with, []string{"--kek-file", "/elsewhere"}, "/elsewhere"},
		"and with no credential": {"", []string{"--kek-file", "/elsewhere"}, "/elsewhere"},
	} {
		var o config.Options
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.Declare(f)
		if err := f.Parse(append([]string{"--data", "/d"}, tc.args...)); err != nil {
			t.Fatal(err)
		}
		cfg, err := o.Finish(func(name string) (string, bool) {
			return tc.directory, name == "CREDENTIALS_DIRECTORY" && tc.directory != ""
		}, os.ReadFile)
		if err != nil || cfg.KEKFile != tc.want {
			t.Errorf("%s: %s, %v; want %s", name, cfg.KEKFile, err, tc.want)
		}
	}
}
