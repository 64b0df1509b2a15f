// Package option is what commands and Packer components have in common about their
// options: a configuration is one struct whose tags say how templates and command
// lines spell each option, and an error says which option is at fault, so that each
// can name it in its own way.
//
// Tags of a field are `mapstructure`, the option's Name; `flag`, its flag; `default`;
// and `help`, what --help says. See Flags, SetDefaults and Unknown.
package option

import (
	"errors"
	"fmt"
	"io/fs"
)

// Name is an option as templates spell it, such as "keep_arguments".
type Name string

// Kind says what is wrong with an option.
type Kind int

// The kinds of errors.
const (
	Invalid     Kind = iota // its value cannot be used
	Missing                 // it has to be given
	Excluded                // others are given that exclude it
	Exists                  // what it is to make is there already
	Unavailable             // what it names is not to be had, which is no fault of who wrote it
)

// Error is an option that cannot be carried out.
type Error struct {
	Kind   Kind
	Option Name // at fault

	format string
	args   []any // a Name is spelled as Option is
	err    error // of both
}

// Error spells options as templates do.
func (e *Error) Error() string { return e.Text(func(n Name) string { return string(n) }) }

// Text says what is wrong, with the names of options as spell has them.
func (e *Error) Text(spell func(Name) string) string {
	args := make([]any, len(e.args))
	for i, arg := range e.args {
		if name, is := arg.(Name); is {
			arg = spell(name)
		}
		args[i] = arg
	}
	name, wrong := spell(e.Option), fmt.Errorf(e.format, args...).Error()
	switch e.Kind {
	case Missing:
		return name + " is missing: " + wrong
	case Excluded:
		return name + " excludes " + wrong
	default:
		return name + ": " + wrong
	}
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.err }

// Errorf says why the value of an option cannot be used. In its arguments, as in
// those of the functions below, other options are a Name.
func Errorf(name Name, format string, args ...any) error {
	return newError(Invalid, name, format, args...)
}

// Missingf says that an option has to be given: "firmware is missing: ...".
func Missingf(name Name, format string, args ...any) error {
	return newError(Missing, name, format, args...)
}

// Excludesf says which others an option cannot be given with, and why: "policy
// excludes ...".
func Excludesf(name Name, format string, args ...any) error {
	return newError(Excluded, name, format, args...)
}

// Existsf says that what an option is to make is there already.
func Existsf(name Name, format string, args ...any) error {
	return newError(Exists, name, format, args...)
}

// Unavailablef says that what an option names is not to be had.
func Unavailablef(name Name, format string, args ...any) error {
	return newError(Unavailable, name, format, args...)
}

func newError(kind Kind, name Name, format string, args ...any) error {
	return &Error{kind, name, format, args, fmt.Errorf(format, args...)}
}

// Wrap says which option an error is about. What the file system says makes it
// Exists or Unavailable, all else Invalid. It returns nil for nil.
func Wrap(name Name, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return Existsf(name, "%w", err)
	case errors.As(err, new(*fs.PathError)):
		return Unavailablef(name, "%w", err)
	}
	return Errorf(name, "%w", err)
}

// Spell returns an error that says the same with the names of options as spell has
// them, each part on a line of its own.
func Spell(err error, spell func(Name) string) error {
	var all []error
	for _, part := range List(err) {
		var wrong *Error
		if errors.As(part, &wrong) {
			part = &spelled{wrong, spell}
		}
		all = append(all, part)
	}
	return errors.Join(all...)
}

// spelled is an error with options spelled otherwise.
type spelled struct {
	err   *Error
	spell func(Name) string
}

func (s *spelled) Error() string { return s.err.Text(s.spell) }
func (s *spelled) Unwrap() error { return s.err }

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
