package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// defaultRetry is what clients are told to wait when nobody knows better.
const defaultRetry = 5 * time.Second

// describe returns the HTTP status and the title of a code.
func describe(code wire.Code) (status int, title string) {
	switch code {
	case wire.CodeDenied:
		return http.StatusForbidden, "The unlock was refused."
	case wire.CodeUnavailable:
		return http.StatusServiceUnavailable, "The service cannot do this now; try again later."
	case wire.CodeRateLimited:
		return http.StatusTooManyRequests, "There were too many requests; try again later."
	case wire.CodeMalformed:
		return http.StatusBadRequest, "The request is malformed."
	case wire.CodeTooLarge:
		return http.StatusRequestEntityTooLarge, "The request is too large."
	case wire.CodeUnauthenticated:
		return http.StatusUnauthorized, "A valid token or session is needed."
	case wire.CodeForbidden:
		return http.StatusForbidden, "The role does not allow this."
	case wire.CodeNotFound:
		return http.StatusNotFound, "What the request asks for was not found."
	case wire.CodeMethod:
		return http.StatusMethodNotAllowed, "The path does not support this method."
	case wire.CodeConflict:
		return http.StatusConflict, "It already exists, or was changed in the meantime."
	case wire.CodeUnprocessable:
		return http.StatusUnprocessableEntity, "The request was understood, but cannot be carried out."
	case wire.CodeLocked:
		return http.StatusTooManyRequests, "There were too many wrong passwords; try again later."
	case wire.CodeUnsupportedType:
		return http.StatusUnsupportedMediaType, "The content type is not supported."
	}
	return http.StatusInternalServerError, "The service failed; look for the request ID in its log."
}

// classify maps any error to what may be said about it. What it does not know is
// an internal error.
func classify(err error) *failure {
	if f, ok := as[*failure](err); ok {
		return f
	}
	if f := classifyTyped(err); f != nil {
		return f.because(err)
	}
	for _, known := range sentinels {
		if errors.Is(err, known.err) {
			return fail(known.code, "%s", known.detail).because(err)
		}
	}
	return (&failure{code: wire.CodeInternal}).because(err)
}

// classifyTyped knows the errors that carry something.
func classifyTyped(err error) *failure {
	if _, ok := as[*unlock.Denial](err); ok {
		return &failure{code: wire.CodeDenied} // why is for the audit log alone
	}
	if errors.Is(err, unlock.ErrUnavailable) {
		return &failure{code: wire.CodeUnavailable}
	}
	if forbidden, ok := as[*access.ForbiddenError](err); ok {
		return fail(wire.CodeForbidden, "%s", forbidden.Error())
	}
	if party, ok := as[*access.PartyError](err); ok {
		return fail(wire.CodeForbidden, "%s", party.Error())
	}
	if busy, ok := as[*access.BusyError](err); ok {
		return fail(wire.CodeUnavailable, "%s", busy.Error())
	}
	if many, ok := as[*access.TooManyError](err); ok {
		return &failure{code: wire.CodeRateLimited, retry: many.RetryAfter}
	}
	if locked, ok := as[*access.LockedError](err); ok {
		return &failure{code: wire.CodeLocked, retry: locked.RetryAfter}
	}
	if invalid, ok := as[*access.InvalidError](err); ok {
		return fail(wire.CodeUnprocessable, "%s", invalid.Reason)
	}
	if refused, ok := as[*registry.RefusedError](err); ok {
		return fail(wire.CodeUnprocessable, "%s", refused.Reason)
	}
	if large, ok := as[*registry.TooLargeError](err); ok {
		return fail(wire.CodeTooLarge, "%s", large.Error())
	}
	if registered, ok := as[*registry.RegisteredError](err); ok {
		return fail(wire.CodeConflict, "%s", registered.Error())
	}
	if taken, ok := as[*registry.NameTakenError](err); ok {
		return fail(wire.CodeConflict, "%s", taken.Error())
	}
	if unknown, ok := as[*registry.UnknownImageError](err); ok {
		return fail(wire.CodeNotFound, "%s", unknown.Error())
	}
	if same, ok := as[*registry.SameReleaseError](err); ok {
		return fail(wire.CodeConflict, "%s", same.Error())
	}
	if decided, ok := as[*store.DecidedError](err); ok {
		return fail(wire.CodeConflict, "%s", decided.Error())
	}
	if channel, ok := as[*store.ChannelError](err); ok {
		return fail(wire.CodeConflict, "%s", channel.Error())
	}
	if mode, ok := as[*store.InstanceModeError](err); ok {
		return fail(wire.CodeConflict, "%s", mode.Error())
	}
	if state, ok := as[*store.StateError](err); ok {
		return fail(wire.CodeConflict, "%s meanwhile", state.Error())
	}
	if tooLarge, ok := as[*http.MaxBytesError](err); ok {
		return fail(wire.CodeTooLarge, "the limit is %s", size.Text(tooLarge.Limit))
	}
	return nil
}

// sentinel is an error that tells all by being what it is.
type sentinel struct {
	err    error
	code   wire.Code
	detail string
}

// sentinels are the errors that tell all by being what they are, with what clients are
// told of them. The first that an error wraps counts.
var sentinels = []sentinel{
	{store.ErrNameTaken, wire.CodeConflict, "the name is taken: choose another"},
	{store.ErrDeleted, wire.CodeConflict, "an image with this ID or unsealing key was deleted and cannot be registered again: convert the source again"},
	{store.ErrTampered, wire.CodeUnavailable, "the database was changed from outside, or the key-encryption key was rotated: see the service's log and docs/operations.md"},
	{store.ErrExists, wire.CodeConflict, "its ID is already in use"},
	{store.ErrChanged, wire.CodeConflict, "it was changed in the meantime: read it again and repeat the change"},
	{store.ErrNotFound, wire.CodeNotFound, ""},
	{store.ErrInvalid, wire.CodeUnprocessable, fmt.Sprintf("it exceeds a limit of the service, such as %d releases per image, %d of them proposed", store.MaxReleases, store.MaxProposed)},
	{store.ErrCursor, wire.CodeMalformed, "the cursor does not belong to this list: start again without it"},
	{store.ErrArtifactGone, wire.CodeUnavailable, "a file was deleted during the registration: repeat it"},
	{access.ErrTokenExpired, wire.CodeUnauthenticated, "the token has expired: log in again, or ask an admin for a new one"},
	{access.ErrTokenRevoked, wire.CodeUnauthenticated, "the token was revoked: log in again, or ask an admin for a new one"},
	{access.ErrUnauthenticated, wire.CodeUnauthenticated, ""},
	{access.ErrWrongPassword, wire.CodeUnauthenticated, "the password is wrong"},
	{access.ErrChanged, wire.CodeConflict, "the password was changed in the meantime"},
	{keyring.ErrWrongKEK, wire.CodeUnavailable, "the key-encryption key was rotated: restart this replica with the new one"},
	{registry.ErrBusy, wire.CodeUnavailable, "too many uploads at a time"},
	{kds.ErrArchive, wire.CodeUnprocessable, "the archive is malformed or was changed"},
	{kds.ErrAnswer, wire.CodeUnprocessable, "the archive has an entry that is not signed under a trusted root"},
	{kds.ErrCRLSignature, wire.CodeUnprocessable, "the archive has a revocation list that is not signed by a trusted root"},
	{kds.ErrCRLStale, wire.CodeUnprocessable, "the archive has a revocation list that is dated in the future"},
	{kds.ErrCRLRollback, wire.CodeUnprocessable, "the archive has a revocation list that is older than the cached one"},
	{kds.ErrCacheFull, wire.CodeUnprocessable, "the cache is full"},
	{os.ErrDeadlineExceeded, wire.CodeMalformed, "the body arrived too slowly"},
	{context.DeadlineExceeded, wire.CodeUnavailable, "the request took too long"},
	{context.Canceled, wire.CodeUnavailable, "the request was cancelled"},
	{audit.ErrClosed, wire.CodeUnavailable, "the service is shutting down"},
}

// ProblemOf returns what a client may know of an error, and the seconds after which it
// makes sense to try again: empty when it never does.
func ProblemOf(err error) (p wire.Problem, retry string) { return problemOf(classify(err)) }

func problemOf(f *failure) (p wire.Problem, retry string) {
	status, title := describe(f.code)
	switch f.code {
	case wire.CodeUnavailable, wire.CodeRateLimited, wire.CodeLocked:
		retry = retryAfter(f.retry)
	}
	return wire.Problem{Type: "about:blank", Title: title, Status: status, Detail: f.detail, Code: f.code}, retry
}

// writeProblem answers with a problem document (RFC 9457).
func writeProblem(w http.ResponseWriter, f *failure, requestID string) error {
	p, retry := problemOf(f)
	p.RequestID = requestID
	h := w.Header()
	if f.code == wire.CodeUnauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if retry != "" {
		h.Set("Retry-After", retry)
	}
	h.Set("Content-Type", wire.ProblemContentType)
	h.Del("Content-Length")
	h.Del("Content-Disposition")
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p)
}

// retryAfter returns whole seconds, at least one.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = defaultRetry
	}
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}
