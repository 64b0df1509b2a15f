package unlock

import "time"

// SetTimeout shortens a session's calls.
func (s *Session) SetTimeout(d time.Duration) { s.timeout = d }
