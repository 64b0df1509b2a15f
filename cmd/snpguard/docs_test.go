package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// readDoc returns a file of the repository.
func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commandLines returns what a page tells to type: code that begins with snpguard.
func commandLines(text string) []string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	var lines []string
	for _, pattern := range []string{"`snpguard( [^`\n]+)`", `(?m)^ *(?:bin/)?snpguard( [a-z-].*)$`} {
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			lines = append(lines, found[1])
		}
	}
	return lines
}

// tableCommands returns the command lines in the first column of docs/embed.md.
func tableCommands(page, text string) []string {
	var lines []string
	if filepath.Base(page) == "embed.md" {
		for _, found := range regexp.MustCompile("(?m)^\\| `([a-z][^`\n]+)`").FindAllStringSubmatch(text, -1) {
			lines = append(lines, " "+found[1])
		}
	}
	return lines
}

// hasFlag reports whether a command has a flag by this name, which is not another's
// second one.
func hasFlag(cmd *cobra.Command, name string) bool {
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		if f := flags.Lookup(name); f != nil && f.Name == name {
			return true
		}
	}
	return false
}

// checkCommandLine says what in a command line does not exist, or "".
func checkCommandLine(root *cobra.Command, line string) string {
	cmd, named := root, false
	for _, word := range strings.Fields(line) {
		name, isFlag := strings.CutPrefix(strings.TrimLeft(word, "["), "--")
		name, _, _ = strings.Cut(strings.TrimRight(name, "],.:)"), "=")
		i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		switch {
		case word == "--" || strings.ContainsAny(word, "|&>#;"):
			return ""
		case isFlag && name != "..." && name != "help" && !hasFlag(cmd, name):
			return "flag " + word
		case isFlag:
		case i >= 0:
			cmd, named = cmd.Commands()[i], true
		case cmd.HasSubCommands() && regexp.MustCompile(`^[a-z-]+$`).MatchString(word) || !named:
			return "command " + word
		}
	}
	return ""
}

// TestDocumentedCommandsExist wants every command and flag that a page tells to
// type to exist.
func TestDocumentedCommandsExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	root, checked := newRootCommand(), 0
	for _, page := range append(pages, "../../README.md", "../../CONTRIBUTING.md") {
		text := readDoc(t, strings.TrimPrefix(page, "../../"))
		for _, line := range append(commandLines(text), tableCommands(page, text)...) {
			checked++
			if missing := checkCommandLine(root, line); missing != "" {
				t.Errorf("%s: snpguard%s: no %s", filepath.Base(page), line, missing)
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d command lines found", checked)
	}
	for _, wrong := range []string{" convert --inn x", " convertt", " image gone", " kds status --certs d", " launch --disk d", " launch-config --policy p"} {
		if checkCommandLine(root, wrong) == "" {
			t.Errorf("snpguard%s is taken", wrong)
		}
	}
}

// TestCounterpartsExist checks the last column of the tables in
// docs/from-snpguard.md: flags, paths of the API and tables of the database.
func TestCounterpartsExist(t *testing.T) {
	known := readDoc(t, "service/internal/api/openapi.json")
	for _, dir := range []string{"config", "monitoring", "store/migrations"} {
		files, err := filepath.Glob("../../service/internal/" + dir + "/*.*")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			known += readDoc(t, strings.TrimPrefix(file, "../../"))
		}
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known += ` "` + f.Name + `" ` })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRootCommand())
	checked := 0
	for line := range strings.Lines(readDoc(t, "docs/from-snpguard.md")) {
		cells := strings.Split(line, " | ")
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1) {
			name, _, _ := strings.Cut(code[1], " ")
			var want string
			switch {
			case len(cells) < 2:
				continue
			case strings.HasPrefix(name, "--") && name != "--":
				want = `"` + strings.TrimPrefix(name, "--") + `"`
			case regexp.MustCompile(`^(GET|POST|PATCH|DELETE) /`).MatchString(code[1]):
				path, _, _ := strings.Cut(strings.Fields(code[1])[1], "?")
				want = `"` + path + `"`
			case strings.HasPrefix(name, "/healthz"), strings.HasPrefix(name, "/readyz"):
				want = name
			case slices.Contains([]string{"images", "releases", "variants", "tokens"}, name):
				want = "CREATE TABLE " + name + " ("
			default:
				continue
			}
			if checked++; !strings.Contains(known, want) {
				t.Errorf("%s: there is no %s", strings.TrimSpace(line), code[1])
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d counterparts found", checked)
	}
}
