//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// terminal is a shell that is told what to do, and what it prints.
type terminal struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the shell has ended

	mu      sync.Mutex
	printed bytes.Buffer
	seen    int // bytes of it that were looked at
	blocks  int
}

// Write implements io.Writer.
func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.Write(p)
}

// newTerminal starts a shell with an environment. A block that fails ends it.
func newTerminal(t testing.TB, dir string, env []string) *terminal {
	t.Helper()
	s := &terminal{cmd: exec.Command("bash", "--noprofile", "--norc"), ended: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, env, s, s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.cmd.Wait() //nolint:errcheck // it is ended by force
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("a terminal:\n%s", s.text())
		}
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
		_ = s.stdin.Close()
		select {
		case <-s.ended:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	s.say(t, "trap : INT; set -e -o pipefail")
	return s
}

func (s *terminal) say(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(s.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// start runs a file of commands, of which programs read the answers in another file.
func (s *terminal) start(t testing.TB, code, answers string, mayFail bool) {
	t.Helper()
	s.blocks++
	end := fmt.Sprintf("; echo 'block' %d ended", s.blocks)
	if mayFail {
		end = " || true" + end
	}
	s.say(t, fmt.Sprintf(". %s <%s%s", code, answers, end))
}

// done is what the shell prints behind a block.
func (s *terminal) done() *regexp.Regexp {
	return regexp.MustCompile(fmt.Sprintf("block %d ended\n", s.blocks))
}

// interrupt is Ctrl-C.
func (s *terminal) interrupt(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.await(t, s.done(), untilOff)
}

// await wants something behind what was seen before.
func (s *terminal) await(t testing.TB, want *regexp.Regexp, within time.Duration) {
	t.Helper()
	if !s.wait(want, within) {
		t.Fatalf("waited in vain for %q", want)
	}
}

// wait waits for something behind what was seen before, as long as the block runs.
func (s *terminal) wait(want *regexp.Regexp, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); {
		if s.find(want) {
			return true
		}
		if s.find(s.done()) {
			return false
		}
		select {
		case <-s.ended:
			return s.find(want)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return false
}

func (s *terminal) find(want *regexp.Regexp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := want.FindIndex(s.printed.Bytes()[s.seen:])
	if at == nil {
		return false
	}
	s.seen += at[1]
	return true
}

// text returns all that was printed.
func (s *terminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.printed.String(), "\r", "")
}
