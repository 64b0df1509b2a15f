package timeline_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
)

type lines struct {
	text       []string
	priorities []timeline.Priority
}

func (l *lines) Line(p timeline.Priority, line string) {
	l.text, l.priorities = append(l.text, line), append(l.priorities, p)
}

// clock advances when it is told to.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func TestLines(t *testing.T) {
	out, c := &lines{}, &clock{time.Unix(100, 0)}
	l := timeline.New(out, c.read)
	c.now = c.now.Add(412 * time.Millisecond)
	l.Printf("network", "%s %s via %s", "eth0", "10.0.2.15/24", "10.0.2.2")
	l.Fail("unlock", errors.Join(errors.New("first"), errors.New("se\x1b[2Jcond\r\ttab é")))
	l.Printf("x", "%s", strings.Repeat("y", 5000))
	if out.text[0] != "snpguard: [0.412s] network: eth0 10.0.2.15/24 via 10.0.2.2" || out.priorities[0] != timeline.Notice {
		t.Errorf("got %q", out.text[0])
	}
	if out.text[1] != "snpguard: FAILED: unlock: first; se?[2Jcond??tab ?" || out.priorities[1] != timeline.Failure {
		t.Errorf("got %q", out.text[1])
	}
	if n := len(out.text[2]); n > 910 {
		t.Errorf("a line of %d bytes", n)
	}
}

func TestSteps(t *testing.T) {
	c := &clock{time.Unix(100, 0)}
	l := timeline.New(&lines{}, c.read)
	broken := errors.New("broken")
	if err := l.Run("one", func() error { c.now = c.now.Add(1500 * time.Millisecond); return nil }); err != nil {
		t.Error(err)
	}
	if err := l.Run("two", func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if want := []timeline.Step{{Name: "one", Seconds: 1.5}, {Name: "two"}}; !reflect.DeepEqual(l.Steps(), want) || l.Elapsed() != 1500*time.Millisecond {
		t.Errorf("got %v after %v", l.Steps(), l.Elapsed())
	}
	if got, want := timeline.Text(l.Steps()), "one 1.500s, two 0.000s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKmsg(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kmsg")
	var console bytes.Buffer
	k := timeline.Kmsg{Path: path, Fallback: &console}
	k.Line(timeline.Notice, "early")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.Line(timeline.Failure, "late")
	written, err := os.ReadFile(path)
	if err != nil || string(written) != "<0>late\n" || console.String() != "early\n" {
		t.Errorf("%v, kmsg %q, console %q", err, written, console.String())
	}
}
