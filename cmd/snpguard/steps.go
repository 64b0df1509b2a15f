package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// steps prints what a conversion does, a line a step, with a bar where bytes are
// counted and somebody looks.
type steps struct {
	cmd  *cobra.Command
	w    io.Writer
	bar  *progress
	done int64
}

func newSteps(cmd *cobra.Command) *steps { return &steps{cmd: cmd, w: cmd.ErrOrStderr()} }

// Step implements convert.Events.
func (s *steps) Step(what string) {
	s.finish()
	fmt.Fprintf(s.w, "==> %s\n", what)
}

// Note implements convert.Events.
func (s *steps) Note(what string) {
	s.finish()
	fmt.Fprintf(s.w, "    %s\n", safe(what))
}

// Progress implements convert.Events.
func (s *steps) Progress(done, total int64) {
	if s.bar == nil {
		s.bar, s.done = newProgress(s.cmd, "   ", total), 0 // below the line that says what it is
	}
	s.bar.add(int(done - s.done))
	s.done = done
}

// finish takes the bar away.
func (s *steps) finish() {
	if s.bar != nil {
		s.bar.done()
		s.bar = nil
	}
}
