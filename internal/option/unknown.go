package option

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Placeholder is what Packer puts in place of text that it does not know while it
// validates: that of data sources and of a build.
const Placeholder = "<unknown>"

// Unknown returns the options of a configuration, a pointer to a struct, that have a
// Placeholder for their value or in it.
func Unknown(config any) []Name {
	var names []Name
	for f := range fields(config) {
		var texts []string
		switch value := f.value.Interface().(type) {
		case string:
			texts = []string{value}
		case []string:
			texts = value
		case map[string]string:
			texts = slices.Collect(maps.Values(value))
		}
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, Placeholder) }) {
			names = append(names, f.name)
		}
	}
	return names
}

// Known drops the parts of an error that judge the value of an option that is not
// known.
func Known(err error, unknown []Name) error {
	var known []error
	for _, part := range List(err) {
		var wrong *Error
		if errors.As(part, &wrong) && slices.Contains(unknown, wrong.Option) && wrong.Kind != Excluded {
			continue
		}
		known = append(known, part)
	}
	return errors.Join(known...)
}
