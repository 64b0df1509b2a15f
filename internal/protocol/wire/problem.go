package wire

import (
	"fmt"
	"strings"
)

// ProblemContentType is the content type of an error (RFC 9457).
const ProblemContentType = "application/problem+json"

// Code is a stable, machine-readable reason of an error.
type Code string

// The codes. Clients branch on them; their meaning never changes.
const (
	CodeDenied          Code = "denied"           // an unlock was refused; the operator's audit log says why
	CodeUnavailable     Code = "unavailable"      // try again later
	CodeRateLimited     Code = "rate_limited"     // try again after Retry-After
	CodeMalformed       Code = "malformed"        // the request is not what the API takes
	CodeTooLarge        Code = "too_large"        // a body or a file exceeds its limit
	CodeUnauthenticated Code = "unauthenticated"  // no valid token or session
	CodeForbidden       Code = "forbidden"        // the token's role does not suffice
	CodeNotFound        Code = "not_found"        // what a request names
	CodeMethod          Code = "method"           // the path does not take this method
	CodeConflict        Code = "conflict"         // it exists already, or has changed meanwhile
	CodeUnprocessable   Code = "unprocessable"    // understood, but cannot be done: the detail says why
	CodeLocked          Code = "locked"           // too many wrong passwords
	CodeInternal        Code = "internal"         // the service failed; its log knows the request ID
	CodeUnsupportedType Code = "unsupported_type" // the content type is not taken
)

// Problem is an error as the service sends it (RFC 9457). Title and Detail are
// safe to show to anyone.
type Problem struct {
	Type      string `json:"type"`             // "about:blank"
	Title     string `json:"title"`            // one sentence, the same for every problem of a code
	Status    int    `json:"status"`           // the HTTP status
	Detail    string `json:"detail,omitempty"` // about this occurrence
	Code      Code   `json:"code"`
	RequestID string `json:"request_id"` // to find the service's own record of it
}

// Error returns the problem as one line.
func (p *Problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text = strings.TrimSuffix(text, ".") + ": " + p.Detail
	}
	return fmt.Sprintf("%s (%s, request %s)", text, p.Code, p.RequestID)
}
