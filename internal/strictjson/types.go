package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// held returns what encoding/json fills: the type behind pointers. It is nil for
// one that reads its own JSON.
func held(t reflect.Type) reflect.Type {
	for t != nil {
		if readsItself(t) || readsItself(reflect.PointerTo(t)) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

func readsItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Unmarshaler]()) || t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// elem returns what a type of one of these kinds holds, or nil.
func elem(t reflect.Type, kinds ...reflect.Kind) reflect.Type {
	if t == nil || !slices.Contains(kinds, t.Kind()) {
		return nil
	}
	return t.Elem()
}

// fieldsOf returns the fields of a struct by the names that encoding/json gives
// them, those of embedded structs among them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type)
	var embedded []reflect.Type
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch inner := held(f.Type); {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && inner != nil && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case !f.IsExported():
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	for _, e := range embedded {
		for name, inner := range fieldsOf(e) {
			if _, hidden := fields[name]; !hidden {
				fields[name] = inner
			}
		}
	}
	return fields
}
