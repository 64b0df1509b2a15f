package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// openAPI is the document that the service serves.
type openAPI struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties           map[string]any `json:"properties"`
			Required             []string       `json:"required"`
			AdditionalProperties any            `json:"additionalProperties"`
			Enum                 []string       `json:"enum"`
		} `json:"schemas"`
	} `json:"components"`
	mu       sync.Mutex
	compiler *jsonschema.Compiler
}

type operation struct {
	Role        string         `json:"x-role"`
	Security    []any          `json:"security"`
	Parameters  []parameter    `json:"parameters"`
	RequestBody *messageBody   `json:"requestBody"`
	Responses   map[string]any `json:"responses"`
}

type parameter struct {
	Name, In string
}

type messageBody struct {
	Required bool           `json:"required"`
	Content  map[string]any `json:"content"`
}

const documentURL = "https://service.example/openapi.json"

func loadOpenAPI(t *testing.T) *openAPI {
	t.Helper()
	data, err := os.ReadFile("openapi.json")
	must(t, err)
	var o openAPI
	must(t, json.Unmarshal(data, &o))
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	must(t, err)
	o.compiler = jsonschema.NewCompiler()
	o.compiler.DefaultDraft(jsonschema.Draft2020)
	o.compiler.AssertFormat()
	must(t, o.compiler.AddResource(documentURL, whole))
	return &o
}

// template returns the path of the document that a request's path is one of.
func (o *openAPI) template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	have := strings.Split(path, "/")
	for template := range o.Paths {
		want := strings.Split(template, "/")
		if slices.EqualFunc(want, have, func(w, h string) bool { return w == h || strings.HasPrefix(w, "{") && h != "" }) &&
			(template == path || o.Paths[path] == nil) {
			return template
		}
	}
	return ""
}

// check holds an answer against the document.
func (o *openAPI) check(t *testing.T, c call, a answer) {
	t.Helper()
	if a.header.Get("X-Request-Id") == "" {
		t.Errorf("%s %s: no request ID", c.method, c.path)
	}
	template := o.template(c.path)
	op, documented := o.Paths[template][strings.ToLower(c.method)]
	status := strconv.Itoa(a.status)
	if _, ok := op.Responses[status]; !ok && documented && a.status < 500 {
		t.Errorf("%s %s: status %d is not in the document", c.method, template, a.status)
	}
	if !documented || a.status >= 400 {
		o.checkProblem(t, c, a)
		return
	}
	pointer := "/paths/" + escape(template) + "/" + strings.ToLower(c.method) + "/responses/" + status
	o.checkContent(t, pointer, a)
}

func escape(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(path, "~", "~0"), "/", "~1")
}

// checkProblem wants every answer that is not in the document to be a problem.
func (o *openAPI) checkProblem(t *testing.T, c call, a answer) {
	t.Helper()
	if a.status < 400 {
		t.Errorf("%s %s: status %d is not in the document", c.method, c.path, a.status)
		return
	}
	o.checkContent(t, "/components/responses/Problem", a)
	var p wire.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Status != a.status || p.RequestID != a.header.Get("X-Request-Id") || p.Type != "about:blank" {
		t.Errorf("%s %s: %d, %s", c.method, c.path, a.status, a.body)
	}
}

// checkContent holds a body against the response at a pointer.
func (o *openAPI) checkContent(t *testing.T, pointer string, a answer) {
	t.Helper()
	contentType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if a.status == 204 {
		if contentType != "" || len(a.body) != 0 {
			t.Errorf("%s: status 204 with a body", pointer)
		}
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	schema, err := o.compiler.Compile(documentURL + "#" + pointer + "/content/" + escape(contentType) + "/schema")
	if err != nil {
		t.Errorf("%s: content type %q: %v", pointer, contentType, err)
		return
	}
	documents := [][]byte{a.body}
	switch contentType {
	case "application/jsonl":
		documents = bytes.Split(bytes.TrimSuffix(a.body, []byte("\n")), []byte("\n"))
	case "application/json", "application/problem+json":
	default:
		return
	}
	for _, d := range documents {
		if len(d) == 0 && contentType == "application/jsonl" {
			continue
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(d))
		if err != nil {
			t.Errorf("%s: %v: %s", pointer, err, d)
			continue
		}
		if err := schema.Validate(instance); err != nil {
			t.Errorf("%s: %v\n%s", pointer, err, d)
		}
	}
}
