package option_test

import (
	"errors"
	"io"
	"testing"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

func TestFlagError(t *testing.T) {
	for _, tc := range []struct{ arg, want string }{
		{"--since=yesterday", `--since: "yesterday" is not a duration; try 24h or 30m`},
		{"--limit=ten", `--limit: "ten" is not a whole number`},
		{"--vcpus=2,many", `--vcpus: "2,many" is not a whole number, or a list of them such as 2,4`},
		{"--family=-1", `--family: "-1" is not a whole number of 0 or more`},
		{"--svn=4294967296", `--svn: "4294967296" is not a whole number from 0 to 4294967295`},
		{"--rate=fast", `--rate: "fast" is not a number such as 5 or 0.5`},
		{"--json=maybe", `--json: "maybe" is not true or false`},
		{"--until=later", `--until: no such time`},
		{"--since", `--since needs a value`},
		{"-since=1h", `unknown flag: -since=1h; flags begin with two dashes`},
		{"--sense=1", `unknown flag: --sense`},
	} {
		if err := option.FlagError(flags().Parse([]string{tc.arg})); err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", tc.arg, err, tc.want)
		}
	}
	if err := option.FlagError(flags().Parse([]string{"--since=1h"})); err != nil {
		t.Errorf("a good flag: %v", err)
	}
}

// TestValue reads a value that comes from a place other than the command line.
func TestValue(t *testing.T) {
	if err := option.Value(flags().Set("limit", "ten")); err == nil || err.Error() != `"ten" is not a whole number` {
		t.Errorf("got %v", err)
	}
	if err := option.Value(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("another error became %v", err)
	}
}

// flags declares a flag of each kind that the commands have.
func flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.Duration("since", 0, "")
	f.Int("limit", 0, "")
	f.IntSlice("vcpus", nil, "")
	f.Uint("family", 0, "")
	f.Uint32("svn", 0, "")
	f.Float64("rate", 0, "")
	f.Bool("json", false, "")
	f.Func("until", "", func(string) error { return errTime{} })
	return f
}

// errTime is what a flag of another kind says by itself.
type errTime struct{}

func (errTime) Error() string { return "no such time" }
