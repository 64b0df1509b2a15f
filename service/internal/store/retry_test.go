package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

func TestTransient(t *testing.T) {
	state := func(code string) error { return &pgconn.PgError{Code: code} }
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"serialization failure":     {state("40001"), true},
		"deadlock":                  {state("40P01"), true},
		"deadlock at commit":        {&commitError{state("40P01")}, true},
		"shutdown":                  {state("57P01"), true},
		"crash":                     {state("57P02"), true},
		"starting":                  {state("57P03"), true},
		"too many clients":          {state("53300"), true},
		"connection failure":        {state("08006"), true},
		"wrapped":                   {fmt.Errorf("append: %w", state("57P01")), true},
		"bad connection":            {driver.ErrBadConn, true},
		"end of file":               {io.ErrUnexpectedEOF, true},
		"network":                   {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		"shutdown at commit":        {&commitError{state("57P01")}, false},
		"end of file at commit":     {&commitError{io.ErrUnexpectedEOF}, false},
		"bad connection at commit":  {&commitError{driver.ErrBadConn}, false},
		"unique":                    {state("23505"), false},
		"statement timeout":         {state("57014"), false},
		"lock timeout":              {state("55P03"), false},
		"wrong password":            {state("28P01"), false},
		"disk full":                 {state("53100"), false},
		"cancelled":                 {context.Canceled, false},
		"cancelled at the network":  {errors.Join(&net.OpError{Op: "read", Err: errors.New("x")}, context.DeadlineExceeded), false},
		"SQLite is full":            {sqlite3.Error{Code: sqlite3.ErrFull}, false},
		"not found":                 {ErrNotFound, false},
		"wrong password on connect": {fmt.Errorf("connect: %w", state("28P01")), false},
	} {
		if got := transient(tc.err); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func TestRetry(t *testing.T) {
	for name, tc := range map[string]struct {
		fails int
		err   error
		want  int
	}{
		"never": {0, nil, 1},
		"twice": {2, &pgconn.PgError{Code: "40001"}, 3},
		"fatal": {9, ErrNotFound, 1},
	} {
		calls := 0
		err := retry(t.Context(), func() error {
			if calls++; calls <= tc.fails {
				return tc.err
			}
			return nil
		})
		if calls != tc.want || (err != nil) != (tc.fails >= calls) {
			t.Errorf("%s: called %d times, %v", name, calls, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := retry(ctx, func() error { calls++; cancel(); return driver.ErrBadConn })
	if !errors.Is(err, driver.ErrBadConn) || calls != 1 {
		t.Errorf("cancelled: called %d times, %v", calls, err)
	}
}

// TestRetryEnds fails for ever.
func TestRetryEnds(t *testing.T) {
	t.Parallel()
	calls := 0
	if err := retry(t.Context(), func() error { calls++; return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) || calls != maxTries {
		t.Errorf("called %d times, %v", calls, err)
	}
}

func TestRuns(t *testing.T) {
	for length, want := range map[int]string{0: "[]", 1: "[1]", 3: "[1 1 1]", 4: "[4]", 85: "[64 16 4 1]", 150: "[64 64 16 4 1 1]"} {
		items := make([]int, length)
		for i := range items {
			items[i] = i
		}
		lengths, next := []int{}, 0
		for _, run := range runs(items) {
			lengths = append(lengths, len(run))
			for _, item := range run {
				if item != next {
					t.Errorf("%d items: got %d, want %d", length, item, next)
				}
				next++
			}
		}
		if got := fmt.Sprint(lengths); got != want || next != length {
			t.Errorf("%d items: got %s, want %s", length, got, want)
		}
	}
}
