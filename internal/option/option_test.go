package option_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// TestText spells each kind of error as templates do and as a command line does.
func TestText(t *testing.T) {
	shout := func(n option.Name) string { return "--" + string(n) }
	notThere := &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	for _, tc := range []struct {
		err            error
		kind           option.Kind
		template, flag string
	}{
		{option.Errorf("size", "%q is not a size", "much"), option.Invalid, `size: "much" is not a size`, `--size: "much" is not a size`},
		{option.Missingf("ca_file", "it goes with %s", option.Name("key")), option.Missing, "ca_file is missing: it goes with key", "--ca_file is missing: it goes with --key"},
		{option.Excludesf("policy", "%s and %s: use the file", option.Name("a"), option.Name("b")), option.Excluded, "policy excludes a and b: use the file", "--policy excludes --a and --b: use the file"},
		{option.Existsf("out", "%s exists", "x"), option.Exists, "out: x exists", "--out: x exists"},
		{option.Unavailablef("agent", "%w", io.EOF), option.Unavailable, "agent: EOF", "--agent: EOF"},
		{option.Wrap("in", notThere), option.Unavailable, "in: open x: file does not exist", "--in: open x: file does not exist"},
		{option.Wrap("out", fmt.Errorf("x: %w", fs.ErrExist)), option.Exists, "out: x: file already exists", "--out: x: file already exists"},
		{option.Wrap("size", io.EOF), option.Invalid, "size: EOF", "--size: EOF"},
	} {
		var wrong *option.Error
		if !errors.As(tc.err, &wrong) || wrong.Kind != tc.kind {
			t.Fatalf("%v is of another kind", tc.err)
		}
		if got := tc.err.Error(); got != tc.template {
			t.Errorf("got %s, want %s", got, tc.template)
		}
		if got := wrong.Text(shout); got != tc.flag {
			t.Errorf("got %s, want %s", got, tc.flag)
		}
	}
	if err := option.Wrap("size", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestSpell(t *testing.T) {
	err := option.Spell(errors.Join(option.Errorf("size", "%w", io.EOF), fs.ErrClosed), func(option.Name) string { return "--size" })
	if err.Error() != "--size: EOF\nfile already closed" || !errors.Is(err, io.EOF) || !errors.As(err, new(*option.Error)) {
		t.Errorf("got %v", err)
	}
	if err := option.Spell(nil, nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestList(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	for _, tc := range []struct {
		err  error
		want []error
	}{
		{nil, nil},
		{a, []error{a}},
		{errors.Join(a, errors.Join(b, c)), []error{a, b, c}},
	} {
		if got := option.List(tc.err); !slices.Equal(got, tc.want) {
			t.Errorf("%v: got %v", tc.err, got)
		}
	}
	// What is wrapped in a sentence stays one part.
	if got := option.List(fmt.Errorf("both: %w, %w", a, b)); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
