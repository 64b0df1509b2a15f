// Package access decides who may use the service: holders of API tokens, and whoever
// knows the master password and has a session for it. The table of operations says
// what each asks for; a [Gate] lets them begin, for API and dashboard alike.
//
// Secrets are random and long, so the database keeps a plain SHA-256 of tokens
// and sessions: whoever reads it can use none of them. The master password is
// one that people choose or type, so it is kept as argon2id, and guesses are
// slowed down for each address and for all together ([Passwords]).
//
// A stolen token is good until it expires or is revoked; a stolen session until
// it is idle for too long or the password changes.
package access
