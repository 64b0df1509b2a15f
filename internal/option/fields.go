package option

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"
)

// field is one option of a configuration.
type field struct {
	name  Name
	tag   reflect.StructTag
	value reflect.Value // which can be set
}

// fields returns the options of a configuration, a pointer to a struct, with those
// of the structs that are squashed into it.
func fields(config any) iter.Seq[field] {
	return func(yield func(field) bool) { walk(reflect.ValueOf(config).Elem(), yield) }
}

func walk(config reflect.Value, yield func(field) bool) bool {
	for i := range config.NumField() {
		described := config.Type().Field(i)
		name, how, _ := strings.Cut(described.Tag.Get("mapstructure"), ",")
		switch {
		case !described.IsExported():
		case how == "squash":
			if !walk(config.Field(i), yield) {
				return false
			}
		case name != "":
			if !yield(field{Name(name), described.Tag, config.Field(i)}) {
				return false
			}
		}
	}
	return true
}

// SetDefaults fills in what was left out of a configuration, a pointer to a struct,
// from the tags `default`.
func SetDefaults(config any) {
	for f := range fields(config) {
		text, has := f.tag.Lookup("default")
		if !has || !f.value.IsZero() {
			continue
		}
		switch p := f.value.Addr().Interface().(type) {
		case *string:
			*p = text
		case *time.Duration:
			if err := (*Duration)(p).Set(text); err != nil {
				panic(fmt.Sprintf("default of %s: %v", f.name, err))
			}
		default:
			panic(fmt.Sprintf("%s, a %T, cannot have a default", f.name, p))
		}
	}
}
