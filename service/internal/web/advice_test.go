package web

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// constants returns the values of the constants of a type in a Go file.
func constants(t *testing.T, path, name string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, name) {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}

// TestAdvice wants advice on every reason that a denial can have.
func TestAdvice(t *testing.T) {
	reasons := append(constants(t, "../audit/reason.go", "Reason"), constants(t, "../../../internal/attestation/attest/reason.go", "Reason")...)
	if len(reasons) < 35 {
		t.Fatalf("found %q", reasons)
	}
	reasons = append(reasons, policyRules()...)
	titles := map[string]string{}
	for _, reason := range reasons {
		if reason == "granted" || reason == "granted_again" || reason == "undecided" || reason == "release.confirmed" {
			continue // no denial has it
		}
		a := adviceOn(audit.Reason(reason))
		if strings.HasPrefix(a.Meaning, "The rule with this name") || a.Title == "" || a.Meaning == "" || a.Do == "" {
			t.Errorf("%s: %+v", reason, a)
		}
		titles[a.Title] += reason + " "
	}
	if len(titles) < 35 {
		t.Errorf("reasons share their titles: %v", titles)
	}
	if a := adviceOn("a_new_one"); a.Title != "a new one" || a.Do == "" {
		t.Errorf("got %+v", a)
	}
}

// policyRules are the rules that a release's report policy can have.
func policyRules() []string {
	return []string{
		"min_report_version", "products", "signing_keys", "csp_ids", "allowed_chips", "denied_chips", "guest_policy.debug", "guest_policy.smt",
		"guest_policy.migration_agent", "min_guest_svn", "host_data", "platform.smt", "platform.known_bits_only", "min_firmware",
		"tcb_floors", "tcb_floors.reported", "tcb_floors.committed", "tcb_floors.launch", "launch_mitigations", "current_mitigations",
	}
}

// TestFloors reads what the form shows, for every policy that it can show.
func TestFloors(t *testing.T) {
	for _, document := range []string{
		`{"version":1}`,
		`{"version":1,"tcb_floors":{"milan":{"reported":{"bootloader":4,"snp":22,"microcode":213}}}}`,
		`{"version":1,"tcb_floors":{"genoa":{"launch":{"tee":1}},"turin":{"committed":{"fmc":1,"bootloader":2,"tee":3,"snp":4,"microcode":5}}}}`,
	} {
		want, err := attest.ParsePolicy([]byte(document))
		must(t, err)
		shown, err := showPolicy([]byte(document))
		must(t, err)
		lines := shown.Floors
		r := &request{Request: newForm("/", nil)}
		must(t, r.ParseForm())
		for _, line := range lines {
			for _, l := range line.Levels {
				r.PostForm.Set(l.Field, l.Value)
			}
		}
		got, err := readFloors(r)
		must(t, err)
		for _, p := range []string{"milan", "genoa", "turin"} {
			if a, b := floorsText(t, got, p), floorsText(t, want.TCBFloors, p); a != b {
				t.Errorf("%s: %s has %s, want %s", document, p, a, b)
			}
		}
		for _, wrong := range []string{"256", "-1", "x", "1.5"} {
			r.PostForm.Set("milan.launch.tee", wrong)
			if _, err := readFloors(r); err == nil {
				t.Errorf("%s is taken", wrong)
			}
		}
	}
}

// TestImagePageWarns looks at the page of an image that lets Milan in, of one that
// does not, and at the form for the next.
func TestImagePageWarns(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, _ := w.image("web")
	path := "/images/" + image.ID.String()
	if page := w.get(path).Body.String(); !strings.Contains(page, "Report policy: Milan may unlock") {
		t.Errorf("no warning on %s", page)
	}
	_, err := w.store.UpdateImagePolicy(t.Context(), image.ID, []byte(`{"version":1,"products":["Genoa"]}`), image.PolicyRevision)
	must(t, err)
	if page := w.get(path).Body.String(); strings.Contains(page, "Milan may unlock") || !strings.Contains(page, "TCB floors") {
		t.Errorf("a warning without Milan on %s", page)
	}
	if page := w.get("/register").Body.String(); !strings.Contains(page, "arXiv 2605.12990") {
		t.Error("no warning where images are registered")
	}
}

func floorsText(t *testing.T, f attest.TCBFloors, product string) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"milan": f.Milan, "genoa": f.Genoa, "turin": f.Turin}[product])
	must(t, err)
	return string(data)
}
