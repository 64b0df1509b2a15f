package wire

import "time"

// Paths of what the master password is for.
const (
	PathSession  = "/v1/session"
	PathPassword = "/v1/password"
)

// Login is the body of POST PathSession.
type Login struct {
	Password string `json:"password"`
}

// Session answers it. The secret is a bearer token with the role admin.
type Session struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expires_at"`
}

// PasswordChange is the body of POST PathPassword. It ends all sessions.
type PasswordChange struct {
	Current string `json:"current"`
	New     string `json:"new"`
}
