// Package option names what is wrong with the options of a command or of a
// Packer component, so that each can say it in its own way.
package option

import (
	"errors"
	"fmt"
	"strings"
)

// Error is an option that cannot be carried out.
type Error struct {
	Option string // as a template spells it, such as "vcpu_types"
	Err    error
}

func (e *Error) Error() string { return Sentence(e.Option, e.Err.Error()) }

// Sentence says what is wrong with an option: "size is missing", or "size: 3 is odd".
func Sentence(name, wrong string) string {
	for _, verb := range []string{"is ", "are ", "excludes "} {
		if strings.HasPrefix(wrong, verb) {
			return name + " " + wrong
		}
	}
	return name + ": " + wrong
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error.
func Errorf(name, format string, args ...any) error {
	return &Error{name, fmt.Errorf(format, args...)}
}

// Wrap says which option an error is about. It returns nil for nil.
func Wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{name, err}
}

// List returns the parts of an error that errors.Join has made, and of those in
// it; any other error is the only part.
func List(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // the error itself, not one that it wraps
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var parts []error
	for _, part := range joined.Unwrap() {
		parts = append(parts, List(part)...)
	}
	return parts
}

// Placeholder is what Packer puts in place of values that it does not know while
// it validates: those of data sources and of a build.
const Placeholder = "<unknown>"

// Known drops the parts of an error that are about a placeholder.
func Known(err error) error {
	var known []error
	for _, part := range List(err) {
		if !strings.Contains(part.Error(), Placeholder) {
			known = append(known, part)
		}
	}
	return errors.Join(known...)
}
