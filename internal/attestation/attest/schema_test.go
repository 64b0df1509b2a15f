package attest_test

import (
	"encoding"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
)

const schemaFile = "../../../docs/report-policy.schema.json"

// validateSchema holds a document against the published schema.
func validateSchema(t *testing.T, document string) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// TestSchemaAgrees wants the schema to accept and refuse what the parser does.
func TestSchemaAgrees(t *testing.T) {
	for _, tc := range policyCases() {
		if tc.beyondSchema {
			continue
		}
		err := validateSchema(t, tc.document)
		if (err == nil) != (tc.want == "") {
			t.Errorf("%s: got %v, want an error: %t", tc.name, err, tc.want != "")
		}
	}
}

// schemaNode is the part of a schema that TestSchemaIsComplete looks at.
type schemaNode struct {
	Ref         string                `json:"$ref"`
	Defs        map[string]schemaNode `json:"$defs"`
	Description string                `json:"description"`
	Properties  map[string]schemaNode `json:"properties"`
	Additional  *bool                 `json:"additionalProperties"`
}

// TestSchemaIsComplete wants every field of Policy in the schema with a
// description, and nothing else.
func TestSchemaIsComplete(t *testing.T) {
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var root schemaNode
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	compareFields(t, "", reflect.TypeFor[attest.Policy](), root, root.Defs)
}

func compareFields(t *testing.T, path string, typ reflect.Type, node schemaNode, defs map[string]schemaNode) {
	t.Helper()
	if name, ok := strings.CutPrefix(node.Ref, "#/$defs/"); ok {
		node = defs[name]
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		if node.Properties != nil {
			t.Errorf("%s is an object in the schema alone", path)
		}
		return
	}
	if node.Additional == nil || *node.Additional {
		t.Errorf("%q allows unknown fields in the schema", path)
	}
	var known []string
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		known = append(known, name)
		property, ok := node.Properties[name]
		if !ok {
			t.Errorf("%s.%s is not in the schema", path, name)
			continue
		}
		if property.Description == "" && !strings.Contains(path, "min_") && !slices.Contains([]string{"fmc", "bootloader", "tee", "snp", "microcode"}, name) {
			t.Errorf("%s.%s has no description in the schema", path, name)
		}
		compareFields(t, path+"."+name, typ.Field(i).Type, property, defs)
	}
	for name := range node.Properties {
		if !slices.Contains(known, name) {
			t.Errorf("%s.%s is in the schema alone", path, name)
		}
	}
}
