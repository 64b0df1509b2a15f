package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readAxe returns axe-core, which looks for what keeps people with other senses
// and hands from using a page.
func readAxe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "tools", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("there is no axe-core: run make deps: %v", err)
	}
	return string(script)
}

// checkAxe fails the test for each rule that the page breaks.
func (b *tab) checkAxe(name, axe string) {
	b.t.Helper()
	// The rules that axe calls experimental are of WCAG 2.1 A too.
	const ask = `axe.run(document, {resultTypes: ["violations"], rules: Object.fromEntries(
		axe.getRules(["experimental"]).map(r => [r.ruleId, {enabled: true}]))}).then(r => r.violations.map(
		v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.target.join(" ") + " " + n.html.slice(0, 200)).join("; ")))`
	eval[bool](b, axe+";true")
	// Whoever speaks to the computer says what is to be seen. Axe's own rule for this
	// lets punctuation pass.
	const unsaid = `[...document.querySelectorAll(":is(a, button, summary)[aria-label]")]
		.filter(e => !e.ariaLabel.toLowerCase().includes(e.textContent.trim().toLowerCase())).map(e => e.outerHTML)`
	if elements := eval[[]string](b, unsaid); len(elements) > 0 {
		b.t.Errorf("%s: the name is not what is shown: %s", name, strings.Join(elements, "; "))
	}
	if violations := eval[[]string](b, ask); len(violations) > 0 {
		b.t.Errorf("%s: axe says\n%s", name, strings.Join(violations, "\n"))
	}
}
