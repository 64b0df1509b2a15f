//go:build e2e

package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// step is a block of shell code of a page, with the lines that it has to print.
type step struct {
	line     int    // of the page
	terminal string // "" for the one that most of it is typed in
	ctrlC    bool   // ends by Ctrl-C, once all lines were printed
	code     string
	want     []string
}

// readPage takes the blocks of code from a page. ```sh is typed in the first
// terminal, ```sh NAME in another one, where it goes on running; ```sh Ctrl-C runs
// until it is interrupted, ```sh not run by the test is for the reader alone. A
// block ```text holds what the block of code above it prints.
func readPage(t *testing.T, name string) []step {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	kind := "" // of the block that is being read
	skipped := false
	for i, line := range strings.Split(string(data), "\n") {
		word, isFence := strings.CutPrefix(line, "```")
		info, isCode := strings.CutPrefix(word, "sh")
		info = strings.TrimSpace(info)
		switch {
		case isFence && kind != "":
			kind = ""
		case isFence && isCode && strings.HasPrefix(info, "not run"):
			kind, skipped = "skip", true
		case isFence && isCode:
			s := step{line: i + 1, terminal: info}
			if s.ctrlC = info == "Ctrl-C"; s.ctrlC {
				s.terminal = ""
			}
			steps = append(steps, s)
			kind, skipped = "code", false
		case isFence && word == "text" && len(steps) > 0 && !skipped:
			kind = "text"
		case isFence:
			t.Fatalf("%s:%d: no kind of block that the test knows: %s", name, i+1, line)
		case kind == "code":
			steps[len(steps)-1].code += line + "\n"
		case kind == "text" && line != "":
			steps[len(steps)-1].want = append(steps[len(steps)-1].want, line)
		}
	}
	return steps
}

// pattern matches a line of output that says the same as a line of a page: what
// differs from run to run, as digests, passwords and numbers, may be another one,
// and "..." stands for anything.
func pattern(line string) *regexp.Regexp {
	varies := regexp.MustCompile(`\s+|\.\.\.|[a-z]+(?:-[a-z]+){5}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{64,96}\b|[0-9]+`)
	var out strings.Builder
	end := 0
	line = strings.TrimSpace(line)
	for _, at := range varies.FindAllStringIndex(line, -1) {
		out.WriteString(regexp.QuoteMeta(line[end:at[0]]))
		switch found := line[at[0]:at[1]]; {
		case found == "...":
			out.WriteString(`.*`)
		case strings.TrimSpace(found) == "":
			out.WriteString(`[ \t]*`)
		case strings.Trim(found, "0123456789") == "":
			out.WriteString(`[0-9]+`)
		default:
			out.WriteString(`[0-9a-z-]+`)
		}
		end = at[1]
	}
	out.WriteString(regexp.QuoteMeta(line[end:]))
	return regexp.MustCompile(out.String())
}

// TestPattern keeps the lines of pages from matching too much.
func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		page, output string
		want         bool
	}{
		{"valid: 6 records, head 6:" + strings.Repeat("a1", 32), "valid: 12 records, head 12:" + strings.Repeat("c3", 32), true},
		{"valid: 6 records, head 6:" + strings.Repeat("a1", 32), "valid: 12 records, head", false},
		{"release       ccce5b84-a984-4eb5-8fdb-b97af0cf5547", "release  9f7ecbe9-a0da-4353-876b-86c17edc1bd6", true},
		{"debian-13  enabled, SIMULATED", "debian-13  disabled, SIMULATED", false},
		{"... msg=serving ...", `time=now level=INFO msg=serving address=[::]:3000`, true},
		{"    unexpired-numbly-phobia-unfold-opulently-cargo", "    resilient-paltry-hummus-crevice-overdraft-vitamins", true},
		{"    unexpired-numbly-phobia-unfold-opulently-cargo", "    ", false},
	} {
		if got := pattern(tt.page).MatchString(tt.output); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.page, tt.output, got)
		}
	}
}
