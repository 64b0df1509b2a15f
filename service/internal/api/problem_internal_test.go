package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// TestClassify has an error of each kind, as it arrives: wrapped, and joined with
// one that nobody knows.
func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code wire.Code
	}{
		{&unlock.Denial{}, wire.CodeDenied},
		{unlock.ErrUnavailable, wire.CodeUnavailable},
		{fail(wire.CodeForbidden, "x"), wire.CodeForbidden},
		{&access.LockedError{RetryAfter: time.Minute}, wire.CodeLocked},
		{&access.InvalidError{Reason: "x"}, wire.CodeUnprocessable},
		{access.ErrUnauthenticated, wire.CodeUnauthenticated},
		{access.ErrWrongPassword, wire.CodeUnauthenticated},
		{access.ErrChanged, wire.CodeConflict},
		{&registry.RefusedError{Reason: "x"}, wire.CodeUnprocessable},
		{&registry.TooLargeError{Part: "kernel", Limit: 1}, wire.CodeTooLarge},
		{registry.ErrBusy, wire.CodeUnavailable},
		{&http.MaxBytesError{Limit: 1}, wire.CodeTooLarge},
		{&registry.RegisteredError{Name: "x"}, wire.CodeConflict},
		{store.ErrNameTaken, wire.CodeConflict},
		{store.ErrExists, wire.CodeConflict},
		{store.ErrChanged, wire.CodeConflict},
		{store.ErrNotFound, wire.CodeNotFound},
		{store.ErrCursor, wire.CodeMalformed},
		{store.ErrInvalid, wire.CodeUnprocessable},
		{store.ErrArtifactGone, wire.CodeUnavailable},
		{audit.ErrClosed, wire.CodeUnavailable},
		{kds.ErrArchive, wire.CodeUnprocessable},
		{kds.ErrAnswer, wire.CodeUnprocessable},
		{kds.ErrCRLSignature, wire.CodeUnprocessable},
		{kds.ErrCRLStale, wire.CodeUnprocessable},
		{kds.ErrCRLRollback, wire.CodeUnprocessable},
		{kds.ErrCacheFull, wire.CodeUnprocessable},
		{os.ErrDeadlineExceeded, wire.CodeMalformed},
		{context.DeadlineExceeded, wire.CodeUnavailable},
		{context.Canceled, wire.CodeUnavailable},
		{errors.New("secret"), wire.CodeInternal},
		{store.ErrCorrupt, wire.CodeInternal},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("do: %w", tc.err), errors.Join(errors.New("secret"), fmt.Errorf("do: %w", tc.err))} {
			f := classify(err)
			if f.code != tc.code {
				t.Errorf("%v: got %s, want %s", err, f.code, tc.code)
			}
			if strings.Contains(f.detail, "secret") {
				t.Errorf("%v: the client is told %q", err, f.detail)
			}
			if status, title := describe(f.code); status < 400 || title == "" {
				t.Errorf("%s: %d, %q", f.code, status, title)
			}
		}
	}
}
