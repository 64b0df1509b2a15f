package attest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
)

// TestReasonsAreDocumented wants every reason to have a sentence and a line in
// the documentation, and no two the same.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/report-verification.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	sentences := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		code := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if strings.Count(string(page), "\n| `"+code+"` | ") != 1 {
			t.Errorf("%s is not in the table of docs/report-verification.md", code)
		}
		if sentence := attest.Reason(code).Error(); sentence == code || sentences[sentence] {
			t.Errorf("%s has no sentence of its own: %s", code, sentence)
		} else {
			sentences[sentence] = true
		}
		return true
	})
	if got := strings.Count(string(page), "\n| `"); len(sentences) != 19 || got != len(sentences) {
		t.Errorf("%d reasons, %d of them documented", len(sentences), got)
	}
}
