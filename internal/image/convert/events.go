package convert

import "sync"

// Events is told what a conversion does, one call at a time.
type Events interface {
	// Step begins a step, described in a few words.
	Step(what string)
	// Note tells something about the present step.
	Note(what string)
	// Progress tells how much of the present step's bytes is done. It only grows.
	Progress(done, total int64)
}

// silent tells nobody.
type silent struct{}

func (silent) Step(string)           {}
func (silent) Note(string)           {}
func (silent) Progress(int64, int64) {}

// inTurn makes one row of what many workers tell.
type inTurn struct {
	mu   sync.Mutex
	to   Events
	done int64 // of the present step
}

func (e *inTurn) Step(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = 0
	e.to.Step(what)
}

func (e *inTurn) Note(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to.Note(what)
}

func (e *inTurn) Progress(done, total int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if done > e.done {
		e.done = done
		e.to.Progress(done, total)
	}
}
