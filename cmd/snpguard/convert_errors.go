package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/convert"
)

// checkRequired names all flags that are missing at once.
func (o *convertOptions) checkRequired() error {
	var missing []string
	for _, f := range []struct{ flag, value string }{
		{"--in", o.in}, {"--out", o.out}, {"--staging", o.staging}, {"--firmware", o.Firmware},
	} {
		if f.value == "" {
			missing = append(missing, f.flag)
		}
	}
	if len(missing) > 0 {
		return usageErrorf("missing: %s", strings.Join(missing, ", "))
	}
	return nil
}

// checkOptions asks the conversion for what is wrong before it begins. It is the
// command line's fault unless it is about files that are or are not there.
func checkOptions(o *convert.Options) error {
	err := o.Check()
	if err == nil {
		return nil
	}
	usage := true
	for _, p := range joined(err) {
		var file *fs.PathError
		usage = usage && !errors.As(p, &file) && !errors.Is(p, fs.ErrExist)
	}
	if err = byFlags(err); usage {
		return usageError{err}
	}
	return err
}

// joined takes errors apart that were joined.
func joined(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// byFlags names the options in errors as the command line does.
func byFlags(err error) error {
	var told []string
	for _, p := range joined(err) {
		told = append(told, byFlag(p).Error())
	}
	return errors.New(strings.Join(told, "\n          "))
}

// byFlag names an option as the command line does.
func byFlag(err error) error {
	var option *convert.OptionError
	if !errors.As(err, &option) {
		return err
	}
	name := strings.ReplaceAll(option.Option, "_", "-")
	if name == "agent" {
		name = "agent-path"
	}
	if errors.Is(option.Err, fs.ErrExist) {
		return fmt.Errorf("--%s: %w; --force replaces it", name, option.Err)
	}
	return fmt.Errorf("--%s: %w", name, option.Err)
}
