package config_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
)

// parse reads a configuration with variables and one file, "file.yaml".
func parse(args []string, env map[string]string, file string) (*config.Config, error) {
	return finish(args,
		func(name string) (string, bool) { value, found := env[name]; return value, found },
		func(name string) ([]byte, error) {
			if name != "file.yaml" {
				return nil, fs.ErrNotExist
			}
			return []byte(file), nil
		})
}

// finish reads a command line as the program does.
func finish(args []string, getenv func(string) (string, bool), readFile func(string) ([]byte, error)) (*config.Config, error) {
	var o config.Options
	f := pflag.NewFlagSet("snpguard-service", pflag.ContinueOnError)
	o.Declare(f)
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return o.Finish(getenv, readFile)
}

func TestDefaults(t *testing.T) {
	c, err := parse(nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":3000" || c.AdminListen != "127.0.0.1:3001" || c.Database != "sqlite:/var/lib/snpguard/snpguard.db" ||
		c.KEKFile != "/var/lib/snpguard/kek" || c.Artifacts != "files" || c.CRL != "strict" || c.KDS != "https://kdsintf.amd.com" ||
		c.MaxFirmware != 64<<20 || c.MaxKernel != 256<<20 || c.MaxInitrd != 1<<30 || c.InsecureRoot != "" || c.LogLevel != slog.LevelInfo {
		t.Errorf("got %+v", c)
	}
}

// TestTheSameInEveryPlace says the same things by flag, variable and file.
func TestTheSameInEveryPlace(t *testing.T) {
	byFlag, err := parse([]string{"--data", "/d", "--hostname", "a.example", "--hostname", "192.0.2.1", "--crl=cached",
		"--crl-max-stale", "1h", "--max-initrd", "5M", "--kds-offline", "--rate-total", "1.5", "--log-level", "DEBUG"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	byVariable, err := parse(nil, map[string]string{"SNPGUARD_DATA": "/d", "SNPGUARD_HOSTNAME": "a.example,192.0.2.1", "SNPGUARD_CRL": "cached",
		"SNPGUARD_CRL_MAX_STALE": "1h", "SNPGUARD_MAX_INITRD": "5242880", "SNPGUARD_KDS_OFFLINE": "true", "SNPGUARD_RATE_TOTAL": "1.5", "SNPGUARD_LOG_LEVEL": "debug"}, "")
	if err != nil {
		t.Fatal(err)
	}
	byFile, err := parse([]string{"--config", "file.yaml"}, nil, `
data: /d
hostname: [a.example, 192.0.2.1]
crl: cached
crl-max-stale: 1h
max-initrd: 5M
kds-offline: true
rate-total: 1.5
log-level: debug
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*config.Config{"flag": byFlag, "variable": byVariable, "file": byFile} {
		if c.Data != "/d" || !slices.Equal(c.Hostnames, []string{"a.example", "192.0.2.1"}) || c.CRL != "cached" || c.CRLMaxStale != time.Hour ||
			c.MaxInitrd != 5<<20 || !c.KDSOffline || c.RateTotal != 1.5 || c.LogLevel != slog.LevelDebug || c.KEKFile != "/d/kek" {
			t.Errorf("by %s: got %+v", name, c)
		}
	}
}

func TestPrecedence(t *testing.T) {
	env := map[string]string{"SNPGUARD_LISTEN": "variable", "SNPGUARD_CONFIG": "file.yaml", "SNPGUARD_KEK_FILE": "variable"}
	c, err := parse([]string{"--listen", "flag"}, env, "listen: file\nkek-file: file\nadmin-listen: file\n")
	if err != nil || c.Listen != "flag" || c.KEKFile != "variable" || c.AdminListen != "file" {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = parse(nil, map[string]string{"DATA_DIR": "/container"}, "")
	if err != nil || c.Data != "/container" {
		t.Errorf("DATA_DIR: got %+v, %v", c, err)
	}
}

func TestDatabaseChoosesArtifacts(t *testing.T) {
	c, err := parse([]string{"--database", "postgres://db/snpguard"}, nil, "")
	if err != nil || c.Artifacts != "database" {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = parse([]string{"--database", "postgres://db/snpguard", "--artifacts", "files"}, nil, "")
	if err != nil || c.Artifacts != "files" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		file string
		says string
	}{
		{"bad variable", nil, map[string]string{"SNPGUARD_CRL_MAX_STALE": "soon"}, "", `SNPGUARD_CRL_MAX_STALE: "soon" is not a duration; try 24h or 30d`},
		{"bad days", nil, map[string]string{"SNPGUARD_CRL_MAX_STALE": "xd"}, "", `"xd" is not a duration; try 24h or 30d`},
		{"unknown option", []string{"--config", "file.yaml"}, nil, "lisen: :3000\n", `unknown option "lisen"`},
		{"repeated option", []string{"--config", "file.yaml"}, nil, "listen: a\nlisten: b\n", "listen"},
		{"nested option", []string{"--config", "file.yaml"}, nil, "listen: {port: 1}\n", "listen: want a word"},
		{"config in file", []string{"--config", "file.yaml"}, nil, "config: other\n", "unknown option"},
		{"not YAML", []string{"--config", "file.yaml"}, nil, "\t{", "file.yaml"},
		{"huge file", []string{"--config", "file.yaml"}, nil, strings.Repeat("#", 2<<20), "the file is larger than 1 MiB"},
		{"certificate without key", []string{"--tls-cert", "c"}, nil, "", "or neither"},
		{"key without certificate", []string{"--tls-key", "k"}, nil, "", "or neither"},
		{"artifacts", []string{"--artifacts", "cloud"}, nil, "", "files or database"},
		{"log format", []string{"--log-format", "xml"}, nil, "", "json or text"},
		{"CRL mode", []string{"--crl", "maybe"}, nil, "", "strict, cached or off"},
		{"empty host name", []string{"--hostname", "a.example,"}, nil, "", "--hostname is empty"},
		{"misspelt database", []string{"--database", "sqlite3:snpguard.db"}, nil, "", "want sqlite:PATH or postgres://"},
		{"database without a kind", []string{"--database", "snpguard.db"}, nil, "", "want sqlite:PATH or postgres://"},
		{"no host name", []string{"--config", "file.yaml"}, nil, "hostname: []\n", "--hostname is empty"},
		{"rate", []string{"--rate-total", "0"}, nil, "", "--rate-total: want more than 0 requests per second"},
		{"two tasks", []string{"--backup", "b", "--rotate-kek", "k"}, nil, "", "give only one of"},
		{"two other tasks", []string{"--reset-password", "--rotate-kek", "k"}, nil, "", "give only one of"},
		{"reset by file", []string{"--config", "file.yaml"}, nil, "reset-password: true\n", "unknown option"},
		{"rotation by file", []string{"--config", "file.yaml"}, nil, "rotate-kek: k\n", "unknown option"},
		{"size", nil, map[string]string{"SNPGUARD_MAX_INITRD": "-1"}, "", "invalid configuration: SNPGUARD_MAX_INITRD: \"-1\" is not a size; want one such as 20G or 512M"},
		{"level", []string{"--config", "file.yaml"}, nil, "log-level: loud\n", `file.yaml: log-level: unknown level "loud": want DEBUG, INFO, WARN or ERROR`},
	} {
		if _, err := parse(tc.args, tc.env, tc.file); !errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want one that says %q", tc.name, err, tc.says)
		}
	}
	if _, err := parse([]string{"--config", "nowhere"}, nil, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v", err)
	}
}

// TestDeployed reads what deploy/ has: the unit's configuration and its command line.
func TestDeployed(t *testing.T) {
	deploy := filepath.Join("..", "..", "..", "deploy")
	unit, err := os.ReadFile(filepath.Join(deploy, "snpguard-service.service"))
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(unit), "\nExecStart=/usr/bin/snpguard-service ")
	if !found {
		t.Fatal("the unit starts something else")
	}
	line, _, _ = strings.Cut(line, "\n")
	read := func(path string) ([]byte, error) {
		if path != "/etc/snpguard/service.yaml" {
			t.Errorf("the unit names %s", path)
		}
		return os.ReadFile(filepath.Join(deploy, "service.yaml"))
	}
	c, err := finish(strings.Fields(line), func(string) (string, bool) { return "", false }, read)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/var/lib/snpguard" || !strings.Contains(string(unit), "\nStateDirectory=snpguard\n") || len(c.Hostnames) != 3 {
		t.Errorf("got %+v", c)
	}
}
