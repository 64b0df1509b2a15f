package access

import (
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Principal is who sends a request.
type Principal struct {
	Session bool   // logged in with the master password; otherwise a token
	ID      string // of the token or session, not secret
	Name    string // of the token
	Role    wire.Role
}

// Actor names the principal in the audit log.
func (p Principal) Actor() string {
	if p.Session {
		return "session " + p.ID
	}
	return fmt.Sprintf("token %s (%s)", p.ID, p.Name)
}

// Party names the principal where different ones are wanted: the token, or whoever has
// the master password, in whichever session.
func (p Principal) Party() string {
	if p.Session {
		return wire.PartyPassword
	}
	return p.Actor()
}

// May reports whether the principal's role includes what is needed. An unknown
// role includes nothing and is included in nothing.
func (p Principal) May(needed wire.Role) bool {
	has, needs := rank(p.Role), rank(needed)
	return has >= 0 && needs >= 0 && has >= needs
}

// roles are the roles, each of which includes those before it.
var roles = []wire.Role{wire.RoleRead, wire.RoleRegister, wire.RoleApprove, wire.RoleAdmin}

// rank is the place of a role among the roles; -1 for an unknown one.
func rank(role wire.Role) int { return slices.Index(roles, role) }
