package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Base is embedded in document.
type Base struct {
	ID   string `json:"id"`
	Name string `json:"name"` // hidden by document's
}

type inner struct {
	Task string `json:"task"`
}

// custom reads itself.
type custom struct{ text string }

func (c *custom) UnmarshalJSON(data []byte) error {
	c.text = string(data)
	return nil
}

// key is a name of a map that reads itself.
type key struct{ text string }

func (k *key) UnmarshalText(text []byte) error {
	k.text = string(text)
	return nil
}

func (k key) MarshalText() ([]byte, error) { return []byte(k.text), nil }

// document has a field of every kind that the formats of this program have.
type document struct {
	Base
	Name    string           `json:"name"`
	Kind    *string          `json:"kind"`
	Plain   int              // without a tag
	Inner   inner            `json:"inner"`
	Pointer *inner           `json:"pointer"`
	List    []inner          `json:"list"`
	Fixed   [2]inner         `json:"fixed"`
	Map     map[string]inner `json:"map"`
	Keyed   map[key]inner    `json:"keyed"`
	Raw     json.RawMessage  `json:"raw"`
	Any     any              `json:"any"`
	Time    time.Time        `json:"time"`
	Custom  custom           `json:"custom"`
	Bytes   []byte           `json:"bytes"`
	Number  uint64           `json:"number,string"`
	Hidden  string           `json:"-"`
	secret  string           //nolint:unused // encoding/json passes over it
}

// documents are pairs of a document and a part of the error that it gives, empty
// where it is taken.
func documents() map[string]struct{ text, want string } {
	return map[string]struct{ text, want string }{
		"empty object": {`{}`, ""},
		"every field": {` {"id":"i","name":"n","kind":"k","Plain":1,"inner":{"task":"t"},"pointer":{"task":"t"},"list":[{"task":"t"},{"task":"t"}],
			"fixed":[{"task":"t"}],"map":{"a":{"task":"t"},"A":{"task":"t"}},"keyed":{"k":{"task":"t"}},"raw":{"any":[{"a":1}]},"any":{"b":{"b":null}},
			"time":"2026-01-02T03:04:05Z","custom":{"x":1},"bytes":"AA==","number":"7"} `, ""},
		"null":          {`{"kind":null,"pointer":null,"list":null,"map":null,"any":null}`, ""},
		"large numbers": {`{"any":[1e999,123456789012345678901234567890]}`, "number"},

		"name twice":                    {`{"name":"a","name":"b"}`, `"name" occurs twice`},
		"name twice, equal":             {`{"name":"a","name":"a"}`, "twice"},
		"name twice, escaped":           {`{"name":"a","\u006eame":"b"}`, "twice"},
		"embedded name twice":           {`{"id":"a","id":"b"}`, "twice"},
		"twice within":                  {`{"inner":{"task":"a","task":"b"}}`, `"inner.task" occurs twice`},
		"twice behind a pointer":        {`{"pointer":{"task":"a","task":"b"}}`, "twice"},
		"twice in a list":               {`{"list":[{"task":"a"},{"task":"a","task":"b"}]}`, "twice"},
		"twice in an array":             {`{"fixed":[{"task":"a","task":"b"}]}`, "twice"},
		"twice in a map":                {`{"map":{"a":{},"a":{}}}`, `"map.a" occurs twice`},
		"twice in a map's value":        {`{"map":{"a":{"task":"a","task":"b"}}}`, "twice"},
		"twice in a map of other names": {`{"keyed":{"a":{},"a":{}}}`, "twice"},
		"twice in raw JSON":             {`{"raw":{"a":[{"b":1,"b":2}]}}`, "twice"},
		"twice in any JSON":             {`{"any":[[{"b":1,"b":2}]]}`, "twice"},
		"twice in what reads itself":    {`{"custom":{"b":1,"b":2}}`, "twice"},
		"half a surrogate twice":        {`{"map":{"\ud800":{},"\ud801":{}}}`, "twice"},

		"other case":                    {`{"Name":"a"}`, `unknown field "Name"`},
		"other case beside it":          {`{"name":"a","NAME":"b"}`, `unknown field "NAME"`},
		"other case of an untagged one": {`{"plain":1}`, `unknown field "plain"`},
		"other case, embedded":          {`{"Id":"a"}`, `unknown field "Id"`},
		"other case within":             {`{"inner":{"Task":"a"}}`, `"inner.Task"`},
		"other case in a list":          {`{"list":[{"Task":"a"}]}`, `"list.Task"`},
		"other case in a map":           {`{"map":{"x":{"Task":"a"}}}`, `"map.x.Task"`},
		"long s":                        {`{"inner":{"ta\u017fk":"a"}}`, "unknown field"},
		"kelvin sign":                   {`{"` + "\u212a" + `ind":"a"}`, "unknown field"},

		"unknown":              {`{"colour":1}`, `unknown field "colour"`},
		"unknown, long":        {`{"` + strings.Repeat("a", 1000) + `":1}`, strings.Repeat("a", 90)},
		"unknown within":       {`{"pointer":{"colour":1}}`, `"pointer.colour"`},
		"left out by its tag":  {`{"-":"a"}`, "unknown field"},
		"left out, by its own": {`{"Hidden":"a"}`, "unknown field"},
		"not exported":         {`{"secret":"a"}`, "unknown field"},
		"empty name":           {`{"":1}`, "unknown field"},
		"the embedded struct":  {`{"Base":{}}`, "unknown field"},

		"two objects":    {`{}{}`, "trailing data"},
		"word behind":    {`{} x`, "trailing data"},
		"bracket behind": {`{}]`, "trailing data"},
		"NUL behind":     {"{}\x00", "trailing data"},
		"nothing":        {` `, "not a JSON object"},
		"list":           {`[]`, "not a JSON object"},
		"null at all":    {`null`, "not a JSON object"},
		"text":           {`"a"`, "not a JSON object"},
		"BOM":            {"\ufeff{}", "not a JSON object"},
		"not UTF-8":      {"{\"name\":\"\xff\"}", "not UTF-8"},
		"cut":            {`{"name":`, "read JSON"},
		"comma":          {`{,}`, "read JSON"},
		"comma behind":   {`{"name":"a",}`, "read JSON"},
		"NaN":            {`{"any":NaN}`, "read JSON"},
		"deep":           {`{"any":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`, "too deep"},
		"very deep":      {`{"any":` + strings.Repeat(`[`, 100_000), "depth"},
		"wrong type":     {`{"name":7}`, "number"},
		"object for one": {`{"name":{"a":1}}`, "object"},
	}
}

func TestDecode(t *testing.T) {
	for name, tc := range documents() {
		var d document
		err := strictjson.Decode([]byte(tc.text), &d)
		if tc.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tc.want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func TestSkipUnknown(t *testing.T) {
	rules := strictjson.Rules{SkipUnknown: true}
	for text, want := range map[string]string{
		`{"name":"a","colour":{"Task":[1]},"inner":{"x":1,"task":"t"}}`: "",
		`{"Name":"a"}`:                   "as they are written",
		`{"inner":{"TASK":"a"}}`:         "as they are written",
		`{"inner":{"ta\u017fk":"a"}}`:    "as they are written",
		`{"colour":1,"colour":1}`:        "twice",
		`{"colour":{"a":1,"a":1}}`:       "twice",
		`{"name":"a"} {}`:                "trailing data",
		`{"colour":1,"Hidden":"a"}`:      "",
		`{"Base":{"name":"b"},"id":"i"}`: "",
	} {
		var d document
		err := rules.Decode([]byte(text), &d)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
		if d.Hidden != "" {
			t.Errorf("%s: filled a field that has no name", text)
		}
	}
}

func TestRefuseNull(t *testing.T) {
	rules := strictjson.Rules{RefuseNull: true}
	for _, text := range []string{`{"kind":null}`, `{"list":[null]}`, `{"inner":{"task":null}}`, `{"raw":null}`} {
		if err := rules.Decode([]byte(text), new(document)); err == nil || !strings.Contains(err.Error(), "null") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := rules.Decode([]byte(`{"name":"null"}`), new(document)); err != nil {
		t.Error(err)
	}
}

// TestOtherTargets decodes what is no struct.
func TestOtherTargets(t *testing.T) {
	var list []inner
	if err := strictjson.Decode([]byte(`[{"task":"a"}]`), &list); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := strictjson.Decode([]byte(`[{"Task":"a"}]`), &list); err == nil {
		t.Error("took another case in a list")
	}
	var m map[string]int
	if err := strictjson.Decode([]byte(`{"a":1,"a":2}`), &m); err == nil {
		t.Error("took a name twice in a map")
	}
}

// TestErrorsThatMayBeShown tells what is said of form from what names Go types.
func TestErrorsThatMayBeShown(t *testing.T) {
	for text, want := range map[string]bool{
		`{"name":"a","name":"b"}`: true, `{"Name":"a"}`: true, `{} x`: true, `[]`: true, "\xff": true,
		`{"name":7}`: false, `{"name"`: false,
	} {
		var refused *strictjson.Error
		if err := strictjson.Decode([]byte(text), new(document)); errors.As(err, &refused) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzDecode: a document that is taken means the same when its names are sorted,
// and when a reader keeps the first of equal names or the last.
func FuzzDecode(f *testing.F) {
	for _, d := range documents() {
		f.Add([]byte(d.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d document
		if strictjson.Decode(data, &d) != nil {
			return
		}
		var generic map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		if err := decoder.Decode(&generic); err != nil {
			t.Fatal(err)
		}
		for name := range generic {
			if !known(name) {
				t.Errorf("took the name %q", name)
			}
		}
		sorted, err := json.Marshal(generic)
		if err != nil {
			t.Fatal(err)
		}
		var again document
		if err := strictjson.Decode(sorted, &again); err != nil {
			t.Fatalf("%s: %v", sorted, err)
		}
		d.Raw, again.Raw, d.Custom, again.Custom = nil, nil, custom{}, custom{}
		if !reflect.DeepEqual(d, again) {
			t.Errorf("%s became %+v, %s became %+v", data, d, sorted, again)
		}
	})
}

// known has the names of document.
func known(name string) bool {
	switch name {
	case "id", "name", "kind", "Plain", "inner", "pointer", "list", "fixed", "map", "keyed", "raw", "any", "time", "custom", "bytes", "number":
		return true
	}
	return false
}
