package option

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// annotation of a flag is the option that it gives.
const annotation = "option"

// Flags declares a flag for every option of a configuration, a pointer to a struct,
// that has the tag `flag`. It sets the defaults first, which --help shows. A list is
// given one at a time, or where the tag is `flag:"NAME,commas"` with commas between.
func Flags(set *pflag.FlagSet, config any) {
	SetDefaults(config)
	for f := range fields(config) {
		flag, has := f.tag.Lookup("flag")
		if !has {
			continue
		}
		name, how, _ := strings.Cut(flag, ",")
		declare(set, f, name, how == "commas")
		if err := set.SetAnnotation(name, annotation, []string{string(f.name)}); err != nil {
			panic(err)
		}
	}
}

func declare(set *pflag.FlagSet, f field, name string, commas bool) {
	help := f.tag.Get("help")
	switch p := f.value.Addr().Interface().(type) {
	case *string:
		set.StringVar(p, name, *p, help)
	case *bool:
		set.BoolVar(p, name, *p, help)
	case *uint32:
		set.Uint32Var(p, name, *p, help)
	case *time.Duration:
		set.Var((*Duration)(p), name, help)
	case *[]int:
		set.IntSliceVar(p, name, *p, help)
	case *map[string]string:
		set.StringToStringVar(p, name, *p, help)
	case *[]string:
		if commas {
			set.StringSliceVar(p, name, *p, help)
		} else {
			set.StringArrayVar(p, name, *p, help)
		}
	default:
		panic(fmt.Sprintf("%s, a %T, cannot be a flag", f.name, p))
	}
}

// Spelling returns how a command line spells options: as its flags. What has no
// flag keeps its name.
func Spelling(set *pflag.FlagSet) func(Name) string {
	flags := map[Name]string{}
	set.VisitAll(func(f *pflag.Flag) {
		name := strings.ReplaceAll(f.Name, "-", "_")
		if given := f.Annotations[annotation]; len(given) == 1 {
			name = given[0]
		}
		flags[Name(name)] = "--" + f.Name
	})
	return func(n Name) string {
		if flag, has := flags[n]; has {
			return flag
		}
		return string(n)
	}
}
