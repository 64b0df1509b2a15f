package access

// Actor is who asks for an operation, and how. The zero value is nobody.
type Actor struct {
	Principal Principal
	Secret    string // with which the principal authenticated; empty: nobody has

	RequestID string // in the answer, the log and the audit record
	Address   string // of the client
	Origin    string // what counts as one address, see limit.Origin
}

// String names the actor in the audit log: empty for somebody who has not authenticated.
func (a Actor) String() string {
	if a.Secret == "" {
		return ""
	}
	return a.Principal.Actor()
}
