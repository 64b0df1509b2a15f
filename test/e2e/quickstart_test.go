//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestQuickstart does what docs/quickstart.md tells a newcomer to do, in a copy of
// this source and with an empty home, and looks for the lines that it promises.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	for i, step := range readPage(t, "../../docs/quickstart.md") {
		q.run(t, i, step)
		if t.Failed() {
			return
		}
	}
}

// quickstart is a newcomer's machine.
type quickstart struct {
	home      string
	port      string            // of the service
	ports     *strings.Replacer // those of the page, for free ones
	terminals map[string]*terminal
	running   map[string]bool // terminals in which a program runs until Ctrl-C
}

func newQuickstart(t *testing.T) *quickstart {
	t.Helper()
	q := &quickstart{home: t.TempDir(), port: freePort(t), terminals: map[string]*terminal{}, running: map[string]bool{}}
	q.ports = strings.NewReplacer("3000", q.port, "4080", freePort(t))
	copySource(t, filepath.Join(q.home, "snpguard"))
	images := filepath.Join(q.home, ".cache", "snpguard", "images")
	if err := os.MkdirAll(filepath.Dir(images), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(image(t, "debian")), images); err != nil {
		t.Fatal(err)
	}
	return q
}

// copySource copies the files that git knows or would take, and the tools that are
// built already.
func copySource(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	copying := exec.Command("bash", "-euo", "pipefail", "-c", `
		cd ../..
		git ls-files -z --cached --others --exclude-standard --deduplicate | cpio -0pdm --quiet "$1"
		if [ -d bin/tools ]; then cp -a bin/tools "$1/bin/"; fi
		cd "$1"
		git init -q
		git -c user.name=Newcomer -c user.email=newcomer@example.com commit -q --allow-empty -m "A clone"`, "copy", dir)
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("copy the source: %v\n%s", err, out)
	}
}

// environment is that of a newcomer, but for what Go and Packer have downloaded.
func (q *quickstart) environment(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, kept := range []string{"PATH", "TMPDIR", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOFLAGS", "GOTOOLCHAIN", "HTTPS_PROXY", "https_proxy"} {
		if value, found := os.LookupEnv(kept); found {
			env = append(env, kept+"="+value)
		}
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		env = append(env, name+"="+strings.TrimSpace(output(t, "go", "env", name)))
	}
	return append(env, "HOME="+q.home, "LC_ALL=C", "SNPGUARD_LISTEN=:"+q.port, "SNPGUARD_ADMIN_LISTEN=127.0.0.1:0")
}

// run types one block of the page, and a launch once more whose kernel gave up.
func (q *quickstart) run(t *testing.T, i int, s step) {
	t.Helper()
	t.Logf("docs/quickstart.md:%d\n%s", s.line, s.code)
	term := q.terminal(t, s.terminal)
	code := filepath.Join(q.home, fmt.Sprintf("block-%d.sh", i))
	writeFile(t, code, q.ports.Replace(s.code))
	stays := s.terminal != ""
	term.start(t, code, q.answers(t, s), stays || s.ctrlC)
	missing := q.missing(term, s)
	if missing != "" && stalled(term) {
		term.start(t, code, q.answers(t, s), stays || s.ctrlC)
		missing = q.missing(term, s)
	}
	switch {
	case missing != "":
		t.Fatalf("it has not printed %q", missing)
	case stays:
		q.running[s.terminal] = true
	case s.ctrlC:
		term.interrupt(t)
	default:
		term.await(t, term.done(), untilLogin)
	}
}

// terminal returns a terminal in which nothing runs any more.
func (q *quickstart) terminal(t *testing.T, name string) *terminal {
	t.Helper()
	term := q.terminals[name]
	if term == nil {
		term = newTerminal(t, q.home, q.environment(t))
		q.terminals[name] = term
	}
	if q.running[name] {
		term.interrupt(t)
		q.running[name] = false
	}
	return term
}

// missing returns the first line that a block does not print, or nothing.
func (q *quickstart) missing(term *terminal, s step) string {
	for _, line := range s.want {
		// getty writes the two words one by one, and others print in between.
		if line == "localhost login:" {
			line = "login:"
		}
		if !term.wait(pattern(q.ports.Replace(line)), untilLogin) {
			return line
		}
	}
	return ""
}

// stalled reports whether emulation was so slow that the guest's kernel took its
// timer for broken. It says so before anything of the guest's has run.
func stalled(term *terminal) bool {
	text := term.text()
	return strings.Contains(text[max(0, len(text)-(4<<10)):], "IO-APIC + timer doesn't work")
}

// answers returns a file with what is typed when a program asks.
func (q *quickstart) answers(t *testing.T, s step) string {
	t.Helper()
	if !strings.Contains(s.code, "snpguard login") {
		return os.DevNull
	}
	password := regexp.MustCompile(`shown this once:\s+(\S+)\n`).FindStringSubmatch(q.terminals["service"].text())
	if password == nil {
		t.Fatal("the service has printed no password")
	}
	file := filepath.Join(q.home, "answers")
	writeFile(t, file, "yes\n"+password[1]+"\n")
	return file
}
