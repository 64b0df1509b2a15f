package slots

import "strconv"

// State is what the sector with the links says.
type State struct {
	Active   string // A or B
	Trial    bool   // it is not confirmed; the other slot is what to return to
	Launches int    // of a slot on trial
}

// maxLaunches bounds the count; it does not matter how many more there are.
const maxLaunches = 999

// notOnTrial is the target of the link /trial outside of a trial; in one it is the
// count of launches.
const notOnTrial = "none"

// Other returns the slot that is not active.
func (s State) Other() string {
	if s.Active == A {
		return B
	}
	return A
}

func (s State) trial() string {
	if !s.Trial {
		return notOnTrial
	}
	return strconv.Itoa(s.Launches)
}

// parseState reads the targets of the links. What is wrong comes out as another state.
func parseState(active, trial string) State {
	s := State{Active: A}
	if active == B {
		s.Active = B
	}
	if n, err := strconv.Atoi(trial); err == nil && n >= 0 && n <= maxLaunches {
		s.Trial, s.Launches = true, n
	}
	return s
}
