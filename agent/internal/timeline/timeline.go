// Package timeline is the agent's log: one line a fact, each with the time since
// the agent's start and the step that it belongs to, and how long each step took.
//
//	snpguard: [0.412s] network: eth0 10.0.2.15/24 via 10.0.2.2
//
// What is logged goes to the host's console: never a secret. Parts of a line may
// come from the network or the disk, so that control characters are replaced
// and long lines cut.
package timeline

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// maxLine bounds a line in bytes. The kernel's log keeps lines of about 1000.
const maxLine = 900

// Priority is how urgent a line is, as the kernel's log counts.
type Priority int

// The priorities in use. A failure is shown on the console even with the kernel
// parameter "quiet": it is all that an operator will see.
const (
	Failure Priority = 0
	Notice  Priority = 5
)

// Sink takes finished lines without a line break.
type Sink interface {
	Line(p Priority, line string)
}

// Step is a step that has ended.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Log is safe for concurrent use.
type Log struct {
	start time.Time
	now   func() time.Time
	sink  Sink

	mu    sync.Mutex
	steps []Step
}

// New returns a log that counts from now.
func New(sink Sink, now func() time.Time) *Log {
	return &Log{start: now(), now: now, sink: sink}
}

// Printf logs one line of a step.
func (l *Log) Printf(step, format string, args ...any) {
	l.line(Notice, step+": "+fmt.Sprintf(format, args...))
}

// Fail logs why the boot ends in a step.
func (l *Log) Fail(step string, err error) {
	l.sink.Line(Failure, clean(fmt.Sprintf("snpguard: FAILED: %s: %v", step, err)))
}

// Run does a step and keeps how long it took.
func (l *Log) Run(name string, do func() error) error {
	began := l.now()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.steps = append(l.steps, Step{name, seconds(l.now().Sub(began))})
	}()
	return do()
}

// Steps returns the steps that have ended, in their order.
func (l *Log) Steps() []Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Step{}, l.steps...)
}

// Text names steps with their times: "mounts 0.051s, config 0.002s".
func Text(steps []Step) string {
	parts := make([]string, len(steps))
	for i, s := range steps {
		parts[i] = fmt.Sprintf("%s %.3fs", s.Name, s.Seconds)
	}
	return strings.Join(parts, ", ")
}

// Elapsed returns the time since the start.
func (l *Log) Elapsed() time.Duration { return l.now().Sub(l.start) }

func (l *Log) line(p Priority, text string) {
	l.sink.Line(p, clean(fmt.Sprintf("snpguard: [%.3fs] %s", l.Elapsed().Seconds(), text)))
}

// seconds rounds to milliseconds.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// clean keeps printable ASCII, so that nobody can forge a second line or steer
// the terminal.
func clean(line string) string {
	line = strings.ReplaceAll(line, "\n", "; ") // joined errors
	if len(line) > maxLine {
		line = line[:maxLine] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
}
