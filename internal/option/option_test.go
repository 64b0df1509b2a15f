package option_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

func TestError(t *testing.T) {
	err := option.Errorf("size", "no number: %w", io.ErrUnexpectedEOF)
	if err.Error() != "size: no number: unexpected EOF" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if err := option.Errorf("size", "is missing"); err.Error() != "size is missing" {
		t.Errorf("got %v", err)
	}
	if err := option.Wrap("size", nil); err != nil {
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

func TestKnown(t *testing.T) {
	unknown, wrong := option.Errorf("firmware", "open %s: no such file", option.Placeholder), option.Errorf("size", "no number")
	if err := option.Known(errors.Join(unknown, wrong)); err == nil || err.Error() != "size: no number" {
		t.Errorf("got %v", err)
	}
	if err := option.Known(unknown); err != nil {
		t.Errorf("got %v", err)
	}
}
