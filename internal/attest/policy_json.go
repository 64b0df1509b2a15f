package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxPolicySize bounds a policy document in bytes. It has room for some seven
// thousand chips.
const MaxPolicySize = 1 << 20

// maxPolicyDepth bounds how deep objects and lists may lie in each other; the
// format needs five.
const maxPolicyDepth = 8

// ParsePolicy reads a policy document strictly: one JSON object without unknown
// or repeated names, null or anything behind it. docs/report-policy.schema.json
// is its schema. The error wraps ErrPolicy.
func ParsePolicy(data []byte) (*Policy, error) {
	p, err := decodePolicy(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

func decodePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicySize {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(data), MaxPolicySize)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	// encoding/json takes repeated names and names in any case. Names of small
	// letters only, each once, leave one way to read the document.
	if err := checkDocument(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	p := &Policy{}
	if err := dec.Decode(p); err != nil {
		return nil, err
	}
	return p, nil
}

// checkDocument wants one object and nothing behind it.
func checkDocument(dec *json.Decoder) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return errors.New("it is not a JSON object")
	}
	if err := checkObject(dec, 1); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON object")
	}
	return nil
}

// checkObject reads an object up to its end.
func checkObject(dec *json.Decoder, depth int) error {
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok || strings.ContainsFunc(name, notPlain) {
			return fmt.Errorf("unknown field %q", token)
		}
		if seen[name] {
			return fmt.Errorf("field %q occurs twice", name)
		}
		seen[name] = true
		if err := checkValue(dec, depth); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// notPlain reports whether a letter occurs in no name of the format.
func notPlain(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' }

// checkValue reads a value whole.
func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if depth == maxPolicyDepth {
		return errors.New("too deep")
	}
	switch token {
	case nil:
		return errors.New("null means nothing here; leave the field out")
	case json.Delim('{'):
		return checkObject(dec, depth+1)
	case json.Delim('['):
		for dec.More() {
			if err := checkValue(dec, depth+1); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	}
	return nil
}
