package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and lists may lie in each other. The formats
// of this program need less than ten.
const maxDepth = 32

// Error is a document whose form is refused. Its text names fields and no Go
// types, so that it may go to whoever sent the document.
type Error struct{ text string }

// Error implements error.
func (e *Error) Error() string { return e.text }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Rules say what is taken, and what is not. The zero value takes the fields that a
// type has, under their exact names, and null.
type Rules struct {
	SkipUnknown bool // pass over fields that the type does not have, unless their names differ from one of it in case alone
	RefuseNull  bool
}

// Decode reads one JSON value in UTF-8 into out, a pointer. Every name in an
// object has to be that of a field of out's type, letter for letter, and may occur
// once. An object is wanted where out points to a struct. The error is an *Error,
// or wraps one of encoding/json.
func Decode(data []byte, out any) error { return Rules{}.Decode(data, out) }

// Decode is the function Decode under these rules.
func (r Rules) Decode(data []byte, out any) error {
	if !utf8.Valid(data) {
		return refuse("it is not UTF-8")
	}
	target := reflect.TypeOf(out)
	if held(target).Kind() == reflect.Struct && !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return refuse("it is not a JSON object")
	}
	if err := checkSyntax(data); err != nil {
		return err
	}
	w := &walk{Rules: r, tokens: json.NewDecoder(bytes.NewReader(data)), fields: make(map[reflect.Type]map[string]reflect.Type)}
	w.tokens.UseNumber()
	if err := w.value(target); err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// checkSyntax wants one value and nothing behind it.
func checkSyntax(data []byte) error {
	if json.Valid(data) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if len(bytes.TrimLeft(data[decoder.InputOffset():], " \t\r\n")) > 0 {
		return refuse("there is trailing data after the JSON value")
	}
	return nil
}
