package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
)

// walk goes through a document and the type that it is for at the same time. The
// type is nil where anything goes: names are then checked to occur once.
type walk struct {
	Rules
	tokens *json.Decoder
	path   []string // of names, down to where it is
	depth  int
	fields map[reflect.Type]map[string]reflect.Type // what fieldsOf returned
}

// value reads a value whole.
func (w *walk) value(t reflect.Type) error {
	token, err := w.tokens.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	switch {
	case token == nil && w.RefuseNull:
		return refuse("%q is null, which means nothing here: leave the field out", w.at(""))
	case !ok:
		return nil
	case w.depth == maxDepth:
		return refuse("%q is too deep: objects and lists may lie %d deep in each other", w.at(""), maxDepth)
	}
	w.depth++
	if delim == '{' {
		err = w.object(held(t))
	} else {
		err = w.list(elem(held(t), reflect.Slice, reflect.Array))
	}
	if err != nil {
		return err
	}
	w.depth--
	_, err = w.tokens.Token() // the bracket that closes it
	return err
}

func (w *walk) list(t reflect.Type) error {
	for w.tokens.More() {
		if err := w.value(t); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) object(t reflect.Type) error {
	seen := make(map[string]bool)
	for w.tokens.More() {
		token, err := w.tokens.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // nothing else is valid JSON here
		if seen[name] {
			return refuse("field %.100q occurs twice", w.at(name))
		}
		seen[name] = true
		inner, err := w.field(t, name)
		if err != nil {
			return err
		}
		w.path = append(w.path, name)
		if err := w.value(inner); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	return nil
}

// field returns the type of what a name stands for in an object of type t.
func (w *walk) field(t reflect.Type, name string) (reflect.Type, error) {
	if t == nil || t.Kind() != reflect.Struct {
		return elem(t, reflect.Map), nil
	}
	known, ok := w.fields[t]
	if !ok {
		known = fieldsOf(t)
		w.fields[t] = known
	}
	if inner, ok := known[name]; ok {
		return inner, nil
	}
	for other := range known {
		if strings.EqualFold(name, other) {
			return nil, refuse("unknown field %.100q; names are taken as they are written: %q", w.at(name), other)
		}
	}
	if !w.SkipUnknown {
		return nil, refuse("unknown field %.100q", w.at(name))
	}
	return nil, nil
}

// at returns where in the document a name is.
func (w *walk) at(name string) string {
	if name == "" {
		return strings.Join(w.path, ".")
	}
	return strings.Join(append(w.path[:len(w.path):len(w.path)], name), ".")
}
