package api_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// TestDocumentedRoutes compares the route table with the document, both ways.
func TestDocumentedRoutes(t *testing.T) {
	w := newWorld(t)
	documented := make(map[string]bool)
	for path, methods := range w.documents.Paths {
		for method := range methods {
			documented[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, r := range w.api.Routes() {
		path := r.Path
		var params []string
		for _, part := range strings.Split(r.Path, "/") {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				path = strings.Replace(path, part, "{"+name+"}", 1)
				params = append(params, name)
			}
		}
		name := r.Method + " " + path
		if !documented[name] {
			t.Errorf("%s is not in the document", name)
			continue
		}
		delete(documented, name)
		op := w.documents.Paths[path][strings.ToLower(r.Method)]
		checkOperation(t, name, op, r)
		for _, p := range params {
			if !slices.Contains(op.Parameters, parameter{p, "path"}) {
				t.Errorf("%s: path parameter %s is not in the document", name, p)
			}
		}
	}
	for name := range documented {
		t.Errorf("%s is in the document alone", name)
	}
}

func checkOperation(t *testing.T, name string, op operation, r api.Route) {
	t.Helper()
	if op.Role != string(r.Role) || (r.Role == "") != (op.Security != nil && len(op.Security) == 0) {
		t.Errorf("%s: role %q in the document, %q in the table", name, op.Role, r.Role)
	}
	for _, status := range refusals(r) {
		if op.Responses[status] == nil {
			t.Errorf("%s: status %s is not in the document", name, status)
		}
	}
	if (op.RequestBody != nil) != (r.ContentType != "") {
		t.Errorf("%s: body in the document: %t", name, op.RequestBody != nil)
		return
	}
	if op.RequestBody != nil && (op.RequestBody.Content[r.ContentType] == nil || op.RequestBody.Required == r.Optional) {
		t.Errorf("%s: body in the document: %v", name, op.RequestBody)
	}
}

// refusals are the statuses that a route can answer with by what it is. Those that
// its handler adds are compared with the document at each call of a test.
func refusals(r api.Route) []string {
	statuses := []string{"400"}
	if r.Role != "" {
		statuses = append(statuses, "401", "429")
	}
	if r.Role != "" && r.Role != wire.RoleRead {
		statuses = append(statuses, "403")
	}
	if strings.Contains(r.Path, ":") {
		statuses = append(statuses, "404")
	}
	if r.ContentType != "" {
		statuses = append(statuses, "413", "415")
	}
	return statuses
}

// wireTypes are the types of package wire that the API speaks, by name.
func wireTypes() map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for _, v := range []any{
		wire.Challenge{}, wire.UnlockRequest{}, wire.Grant{}, wire.PublicInfo{},
		wire.GuestCall{}, wire.GuestAnswer{}, wire.UpdateRequest{}, wire.InstalledKernel{}, wire.UpdateAnswer{}, wire.AvailableRelease{},
		wire.ConfirmRequest{}, wire.ConfirmAnswer{}, wire.BundleRequest{},
		wire.InstanceDisk{}, wire.Generation{}, wire.ClaimRequest{}, wire.ClaimAnswer{}, wire.ReadyRequest{}, wire.CommitRequest{}, wire.InstanceAnswer{},
		wire.Machine{}, wire.MachineKernel{}, wire.MachineList{}, wire.Fleet{}, wire.ReleaseGuests{}, wire.WaitingKernel{},
		wire.Image{}, wire.LaunchLimit{}, wire.Release{}, wire.Approval{}, wire.Rejection{}, wire.Retirement{}, wire.Restoration{}, wire.ReleaseUse{},
		wire.Verification{}, wire.Verified{}, wire.Provenance{}, wire.ProvenancePackage{}, wire.ProvenanceArchive{}, wire.Artifact{}, wire.Variant{}, wire.ImageList{},
		wire.Channel{}, wire.ChannelTarget{}, wire.ChannelList{}, wire.ChannelChange{},
		wire.Registration{}, wire.Finding{}, wire.ReleaseFinding{}, wire.Registered{}, wire.ImagePatch{}, wire.ReleasePatch{},
		wire.Instance{}, wire.InstanceSettings{}, wire.Restore{}, wire.InstanceList{}, wire.InstanceCreation{}, wire.InstancePatch{},
		wire.InstanceAdoption{}, wire.RestoreAllowance{},
		wire.Token{}, wire.TokenRequest{}, wire.NewToken{}, wire.TokenList{},
		wire.AuditRecord{}, wire.AuditList{}, wire.AuditHead{}, wire.AuditVerification{},
		wire.Status{}, wire.KDSStatus{}, wire.KDSEntry{}, wire.KDSImported{},
		wire.Login{}, wire.Session{}, wire.PasswordChange{}, wire.Problem{},
	} {
		types[reflect.TypeOf(v).Name()] = reflect.TypeOf(v)
	}
	return types
}

// TestDocumentedTypes compares each type with its schema: the same fields, and
// required are those that are always there.
func TestDocumentedTypes(t *testing.T) {
	o := loadOpenAPI(t)
	types := wireTypes()
	for name, typ := range types {
		schema, ok := o.Components.Schemas[name]
		if !ok {
			t.Errorf("%s has no schema", name)
			continue
		}
		fields, always := jsonFields(typ)
		if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, fields) {
			t.Errorf("%s: properties %v, fields %v", name, got, fields)
		}
		required := slices.Sorted(slices.Values(schema.Required))
		if strings.HasSuffix(name, "Patch") {
			always = nil // of a patch everything may be left out
		}
		if !slices.Equal(required, always) || schema.AdditionalProperties != false {
			t.Errorf("%s: required %v, always there %v", name, required, always)
		}
	}
	for name := range o.Components.Schemas {
		if types[name] == nil && name != "Role" && name != "Code" {
			t.Errorf("schema %s is of no type", name)
		}
	}
}

// jsonFields returns the names of a type's fields, sorted, and of those that are
// never left out.
func jsonFields(typ reflect.Type) (all, always []string) {
	for _, f := range reflect.VisibleFields(typ) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		all = append(all, name)
		if options != "omitempty" && options != "omitzero" {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

// TestWireTypesAreDocumented reads package wire, so that no new type is forgotten.
func TestWireTypesAreDocumented(t *testing.T) {
	files, err := filepath.Glob("../../../internal/protocol/wire/*.go")
	must(t, err)
	types := wireTypes()
	codes := loadOpenAPI(t).Components.Schemas["Code"].Enum
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok && slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool { return f.Tag != nil }) {
					found++
					if types[n.Name.Name] == nil {
						t.Errorf("%s has no schema", n.Name)
					}
				}
			case *ast.ValueSpec:
				if name, ok := n.Type.(*ast.Ident); ok && name.Name == "Code" {
					code, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					if err != nil || !slices.Contains(codes, code) {
						t.Errorf("code %s is not in the document", n.Names[0])
					}
				}
			}
			return true
		})
	}
	if found != len(types) {
		t.Errorf("found %d types, know %d", found, len(types))
	}
}

func TestServedDocument(t *testing.T) {
	w := newWorld(t)
	want, err := os.ReadFile("openapi.json")
	must(t, err)
	a := w.do(call{method: "GET", path: "/v1/openapi.json"}).want(200)
	if !bytes.Equal(a.body, want) {
		t.Error("another document is served")
	}
}

// TestBytesOfRecordsAreDocumented wants docs/api.md to say how the bytes of an
// exported record are written: whoever hashes the text of body finds no chain.
func TestBytesOfRecordsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/api.md")
	must(t, err)
	found := 0
	for name, property := range loadOpenAPI(t).Components.Schemas["AuditRecord"].Properties {
		encoding, ok := property.(map[string]any)["contentEncoding"].(string)
		if !ok {
			continue
		}
		found++
		if says := regexp.MustCompile("`" + name + "`[^.:]* " + encoding); !says.Match(page) {
			t.Errorf("api.md does not say that %s is in %s", name, encoding)
		}
	}
	if found != 2 {
		t.Errorf("found %d properties, want report and body", found)
	}
}
