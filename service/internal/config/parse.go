package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// envPrefix starts the name of every variable: --admin-listen is
// SNPGUARD_ADMIN_LISTEN. envData is what container images call --data.
const (
	envPrefix = "SNPGUARD_"
	envData   = "DATA_DIR"
)

// maxFile bounds the configuration file in bytes.
const maxFile = 1 << 20

// Result is what Parse found on the command line.
type Result struct {
	Config
	ShowVersion bool
	Backup      string // file to write a copy of a SQLite database to, and stop
	RotateKEK   string // file with the new KEK: seal all keys under it, and stop
	Help        string // the text for --help, when it was asked for
}

// Parse reads the configuration. getenv and readFile are os.LookupEnv and
// os.ReadFile outside of tests. The error wraps ErrUsage, or is the file's.
func Parse(args []string, getenv func(string) (string, bool), readFile func(string) ([]byte, error)) (*Result, error) {
	var r Result
	f := pflag.NewFlagSet("snpguard-service", pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(io.Discard)
	r.flags(f)
	file := f.String("config", "", "YAML file with the same names, without dashes in front")
	f.BoolVar(&r.ShowVersion, "version", false, "print the version and stop")
	f.StringVar(&r.Backup, "backup", "", "write a copy of the SQLite database to this file and stop; others may use it meanwhile")
	f.StringVar(&r.RotateKEK, "rotate-kek", "", "seal all keys under the key-encryption key in this file, which is made if it is not there, in place of --kek-file's, and stop")
	err := f.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		r.Help = help(f)
		return &r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%w: unexpected argument %q", ErrUsage, f.Arg(0))
	}
	if err := fromEnvironment(f, getenv); err != nil {
		return nil, err
	}
	if *file != "" {
		data, err := readFile(*file)
		if err != nil {
			return nil, err
		}
		if err := fromFile(f, data); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUsage, *file, err)
		}
	}
	if r.Backup != "" && r.RotateKEK != "" {
		return nil, fmt.Errorf("%w: --backup and --rotate-kek do one thing each", ErrUsage)
	}
	return &r, r.finish()
}

// commandLineOnly names what is no option of a running service.
func commandLineOnly(name string) bool {
	return slices.Contains([]string{"version", "backup", "rotate-kek"}, name)
}

// fromEnvironment sets what no flag has set.
func fromEnvironment(f *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var err error
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed || err != nil || commandLineOnly(flag.Name) {
			return
		}
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, found := getenv(name)
		if !found && flag.Name == "data" {
			name = envData
			value, found = getenv(name)
		}
		if !found {
			return
		}
		if setErr := f.Set(flag.Name, value); setErr != nil {
			err = fmt.Errorf("%w: %s: %w", ErrUsage, name, setErr)
		}
	})
	return err
}

// fromFile sets what neither flag nor variable has set. Unknown and repeated
// names are errors: a misspelt option must not be passed over.
func fromFile(f *pflag.FlagSet, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("%d bytes, at most %d are taken", len(data), maxFile)
	}
	options := make(map[string]any)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&options); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for name, value := range options {
		flag := f.Lookup(name)
		if flag == nil || name == "config" || commandLineOnly(name) {
			return fmt.Errorf("unknown option %q", name)
		}
		if flag.Changed {
			continue
		}
		text, err := text(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f.Set(name, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// text returns a scalar, or a list of scalars, as a flag takes it.
func text(value any) (string, error) {
	switch v := value.(type) {
	case string, bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		var words []string
		for _, element := range v {
			word, err := text(element)
			if err != nil {
				return "", err
			}
			words = append(words, word)
		}
		return strings.Join(words, ","), nil
	}
	return "", fmt.Errorf("want a word, a number or a list, not %T", value)
}

func help(f *pflag.FlagSet) string {
	return `Usage: snpguard-service [flags]

The attestation service of SnpGuard: registers images, verifies attestation
reports and releases volume keys. It starts with nothing prepared.

Every flag is also a variable, --admin-listen is SNPGUARD_ADMIN_LISTEN, and a
line in the file that --config names. Flags win over variables, variables over
the file.

Example:
  snpguard-service --data /var/lib/snpguard --hostname attest.example.com

Flags:
` + f.FlagUsages()
}
