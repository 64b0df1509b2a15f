package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// walk calls a function for every command that this program itself has.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// TestCommandsAreExplained wants an example of every command that does something,
// and a description of every command and flag, all in one form.
func TestCommandsAreExplained(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	walk(newRootCommand(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if !name.MatchString(cmd.Name()) {
			t.Errorf("%s: its name is not in kebab case", path)
		}
		if s := cmd.Short; s == "" || strings.HasSuffix(s, ".") || s[:1] != strings.ToUpper(s[:1]) {
			t.Errorf("%s: short description %q", path, s)
		}
		if !strings.HasPrefix(cmd.Example, "  snpguard ") {
			t.Errorf("%s: example %q", path, cmd.Example)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") || !name.MatchString(f.Name) {
				t.Errorf("%s: --%s: %q", path, f.Name, f.Usage)
			}
		})
	})
}

// TestExamplesParse reads the flags of every example: none may be misspelt.
func TestExamplesParse(t *testing.T) {
	walk(newRootCommand(), func(cmd *cobra.Command) {
		text := strings.ReplaceAll(cmd.Example, "\\\n", " ")
		for line := range strings.Lines(text) {
			for _, one := range regexp.MustCompile(` && | \| | > | &$`).Split(strings.TrimSpace(line), -1) {
				words := strings.Fields(regexp.MustCompile(`\$\([^)]*\)`).ReplaceAllString(one, "x"))
				if len(words) == 0 || words[0] != "snpguard" {
					continue
				}
				root := newRootCommand()
				found, rest, err := root.Find(words[1:])
				if err == nil {
					found.InitDefaultHelpFlag()
					err = found.ParseFlags(rest)
				}
				if err == nil {
					err = found.ValidateArgs(found.Flags().Args())
				}
				if err != nil {
					t.Errorf("%s: example %q: %v", cmd.CommandPath(), one, err)
				}
			}
		}
	})
}

// TestSameFlagsSayTheSame compares the flags of a name across commands: their kind,
// and for some what they are said to be.
func TestSameFlagsSayTheSame(t *testing.T) {
	kinds, words := make(map[string]string), make(map[string]string)
	// A launch has one of what a registration lists; labels are given, or asked for.
	oneOrMany := map[string]bool{"vcpus": true, "vcpu-type": true, "label": true}
	walk(newRootCommand(), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if kind, seen := kinds[f.Name]; seen && kind != f.Value.Type() && !oneOrMany[f.Name] {
				t.Errorf("%s: --%s is a %s, elsewhere a %s", cmd.CommandPath(), f.Name, f.Value.Type(), kind)
			}
			kinds[f.Name] = f.Value.Type()
			switch f.Name {
			case "identity-key", "guest-policy", "guest-svn", "insecure-trust-root", "json", "cache", "state", "no-crl":
				if said, seen := words[f.Name]; seen && said != f.Usage {
					t.Errorf("%s: --%s is %q, elsewhere %q", cmd.CommandPath(), f.Name, f.Usage, said)
				}
				words[f.Name] = f.Usage
			}
		})
	})
}

// TestManPages wants a page of every command, which groff takes without a word.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if code := run(t.Context(), []string{"man", dir}, nil, new(bytes.Buffer), new(bytes.Buffer)); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	pages := []string{"-man", "-Tutf8", "-ww", "-z"}
	walk(newRootCommand(), func(cmd *cobra.Command) {
		if !cmd.Hidden {
			pages = append(pages, filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		}
	})
	if out, err := exec.CommandContext(t.Context(), "groff", pages...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff (Debian package groff-base): %v\n%s", err, out)
	}
}
