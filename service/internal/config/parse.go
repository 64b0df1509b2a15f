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

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// envPrefix starts the name of every variable: --admin-listen is
// SNPGUARD_ADMIN_LISTEN. envData is what container images call --data.
const (
	envPrefix = "SNPGUARD_"
	envData   = "DATA_DIR"
)

// maxFile bounds the configuration file in bytes.
const maxFile = 1 << 20

// Options are the flags of the service's command line.
type Options struct {
	Backup    string // file to write a copy of a SQLite database to, and stop
	RotateKEK string // file with the new KEK: seal all keys under it, and stop

	ResetPassword bool // make a new master password, and stop
	Health        bool // ask the service that runs with this configuration whether it is ready, and stop

	config Config
	file   string
	flags  *pflag.FlagSet
}

// Declare puts every flag, with its default, on a flag set.
func (o *Options) Declare(f *pflag.FlagSet) {
	o.flags = f
	o.config.flags(f)
	f.StringVar(&o.file, "config", "", "YAML file with the same options, without the leading dashes")
	f.StringVar(&o.Backup, "backup", "", "write a copy of the SQLite database to this file and exit; the service may keep running meanwhile")
	f.StringVar(&o.RotateKEK, "rotate-kek", "", "seal all keys under the key-encryption key in this file instead of --kek-file's and exit; the file is created if it does not exist")
	f.BoolVar(&o.ResetPassword, "reset-password", false, "replace a lost master password, print the new one and exit; it is valid at once, and all sessions end")
	f.BoolVar(&o.Health, "health", false, "ask the service that runs with these options, at --admin-listen, whether it is ready, and exit with 0 (ready) or 3")
}

// Finish returns the configuration after the flags have been read. getenv and
// readFile are os.LookupEnv and os.ReadFile outside of tests. The error wraps
// ErrUsage, or is the file's.
func (o *Options) Finish(getenv func(string) (string, bool), readFile func(string) ([]byte, error)) (*Config, error) {
	if err := fromEnvironment(o.flags, getenv); err != nil {
		return nil, err
	}
	if o.file != "" {
		data, err := readFile(o.file)
		if err != nil {
			return nil, err
		}
		if err := fromFile(o.flags, data); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUsage, o.file, err)
		}
	}
	if o.tasks() > 1 {
		return nil, fmt.Errorf("%w: give only one of --backup, --rotate-kek, --reset-password and --health", ErrUsage)
	}
	o.config.credential(getenv)
	return &o.config, o.config.finish()
}

// tasks counts what was asked for in place of serving.
func (o *Options) tasks() int {
	n := 0
	for _, asked := range []bool{o.Backup != "", o.RotateKEK != "", o.ResetPassword, o.Health} {
		if asked {
			n++
		}
	}
	return n
}

// commandLineOnly names what is no option of a running service.
func commandLineOnly(name string) bool {
	return slices.Contains([]string{"help", "version", "backup", "rotate-kek", "reset-password", "health"}, name)
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
			err = fmt.Errorf("%w: %s: %w", ErrUsage, name, option.Value(setErr))
		}
	})
	return err
}

// fromFile sets what neither flag nor variable has set. Unknown and repeated
// names are errors: a misspelt option must not be passed over.
func fromFile(f *pflag.FlagSet, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("the file is larger than %s", size.Text(maxFile))
	}
	options := make(map[string]any)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&options); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for name, value := range options {
		flag := f.Lookup(name)
		if flag == nil || name == "config" || commandLineOnly(name) {
			return fmt.Errorf("unknown option %q: options have the names of the flags, without the leading dashes", name)
		}
		if flag.Changed {
			continue
		}
		text, err := text(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f.Set(name, text); err != nil {
			return fmt.Errorf("%s: %w", name, option.Value(err))
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
