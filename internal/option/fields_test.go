package option_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// Place is squashed into a configuration.
type Place struct {
	Address string `mapstructure:"address" flag:"address" help:"where it is"`
}

// config has an option of each kind.
type config struct {
	Place    `mapstructure:",squash"`
	Name     string            `mapstructure:"image_name" flag:"name" default:"web"`
	Deadline time.Duration     `mapstructure:"deadline" flag:"deadline" default:"15m" help:"how long"`
	Keep     []string          `mapstructure:"keep_words" flag:"keep-word"`
	Types    []string          `mapstructure:"types" flag:"type,commas"`
	Counts   []int             `mapstructure:"counts" flag:"count"`
	Labels   map[string]string `mapstructure:"labels" flag:"label"`
	SVN      uint32            `mapstructure:"svn" flag:"svn"`
	Dry      bool              `mapstructure:"dry" flag:"dry"`
	Template string            `mapstructure:"template"`
	hidden   string
}

func TestFlags(t *testing.T) {
	var c config
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	option.Flags(set, &c)
	if err := set.Parse(strings.Fields("--keep-word a,b --keep-word c --type d,e --count 1,2 --label k=v --svn 7 --dry --address here")); err != nil {
		t.Fatal(err)
	}
	want := config{
		Place: Place{Address: "here"}, Name: "web", Deadline: 15 * time.Minute, Keep: []string{"a,b", "c"}, Types: []string{"d", "e"},
		Counts: []int{1, 2}, Labels: map[string]string{"k": "v"}, SVN: 7, Dry: true,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if f := set.Lookup("deadline"); f.Usage != "how long" || f.DefValue != "15m" {
		t.Errorf("got %q, default %s", f.Usage, f.DefValue)
	}
	if set.Lookup("template") != nil {
		t.Error("an option without the tag is a flag")
	}
}

func TestSpelling(t *testing.T) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	option.Flags(set, new(config))
	set.String("ca-file", "", "")
	spell := option.Spelling(set)
	for name, want := range map[option.Name]string{
		"image_name": "--name", "keep_words": "--keep-word", "address": "--address", "ca_file": "--ca-file", "template": "template",
		"name": "name", // is another option
	} {
		if got := spell(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestSetDefaults(t *testing.T) {
	c := config{Name: "mine"}
	option.SetDefaults(&c)
	if !reflect.DeepEqual(c, config{Name: "mine", Deadline: 15 * time.Minute}) {
		t.Errorf("got %+v", c)
	}
	for _, broken := range []any{
		&struct {
			D time.Duration `mapstructure:"d" default:"soon"`
		}{},
		&struct {
			N uint32 `mapstructure:"n" default:"1"`
		}{},
	} {
		if !panics(func() { option.SetDefaults(broken) }) {
			t.Errorf("%+v is taken", broken)
		}
	}
	odd := &struct {
		N complex128 `mapstructure:"n" flag:"n"`
	}{}
	if !panics(func() { option.Flags(pflag.NewFlagSet("", pflag.ContinueOnError), odd) }) {
		t.Error("a complex number is taken")
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestUnknown(t *testing.T) {
	c := config{
		Place: Place{Address: option.Placeholder}, Name: "web-" + option.Placeholder, Keep: []string{"a", option.Placeholder}, Types: []string{"d"},
		Labels: map[string]string{"k": option.Placeholder}, Template: "known", hidden: option.Placeholder,
	}
	if got, want := option.Unknown(&c), []option.Name{"address", "image_name", "keep_words", "labels"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestKnown drops what is said of values that are not known, and nothing else.
func TestKnown(t *testing.T) {
	firmware, size := option.Errorf("firmware", "no such file"), option.Errorf("size", "not a size")
	excluded, other := option.Excludesf("firmware", "%s", option.Name("kernel")), errors.New("a sentence with "+option.Placeholder)
	got := option.Known(errors.Join(firmware, size, excluded, other), []option.Name{"firmware"})
	if want := []error{size, excluded, other}; !slices.Equal(option.List(got), want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := option.Known(firmware, []option.Name{"firmware"}); err != nil {
		t.Errorf("got %v", err)
	}
}
