package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/command"
)

// TestReleaseFiles wants every command and flag of the agent's help in its man page
// and in what shells complete, and a page that groff takes without a word. They are
// kept by hand: an agent that wrote them would be larger.
func TestReleaseFiles(t *testing.T) {
	var help bytes.Buffer
	program := command.Program{Stdout: &help}
	if code := program.Run([]string{"--help"}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	found := regexp.MustCompile(`(?m)^  snpguard-agent ([a-z]+)|(--[a-z]+)`).FindAllStringSubmatch(help.String(), -1)
	if len(found) < 6 {
		t.Fatalf("the help has %q", found)
	}
	const page = "release/snpguard-agent.8"
	if out, err := exec.CommandContext(t.Context(), "groff", "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff (Debian package groff-base): %v\n%s", err, out)
	}
	for _, file := range []string{page, "release/snpguard-agent.bash", "release/snpguard-agent.zsh", "release/snpguard-agent.fish"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(string(text), `\`, "")
		for _, f := range found {
			word := f[1] + f[2]
			if strings.HasSuffix(file, ".fish") {
				word = strings.ReplaceAll(word, "--", "-l ")
			}
			if !strings.Contains(plain, word) {
				t.Errorf("%s: %s is missing", file, word)
			}
		}
	}
}
