package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// failure is an error whose code and detail may be shown to a client.
type failure struct {
	code   wire.Code
	detail string
	retry  time.Duration // when it makes sense to try again; zero: nothing is said
	cause  error         // for the log
}

// Error returns everything, for the log.
func (f *failure) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("%s: %s: %v", f.code, f.detail, f.cause)
	}
	return fmt.Sprintf("%s: %s", f.code, f.detail)
}

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.cause }

// fail makes a failure with a detail that the client may read.
func fail(code wire.Code, format string, args ...any) *failure {
	return &failure{code: code, detail: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *failure { return fail(wire.CodeMalformed, format, args...) }

// because adds what the log shall know.
func (f *failure) because(err error) *failure {
	f.cause = err
	return f
}

// as returns err as a T, when it is or wraps one.
func as[T error](err error) (T, bool) {
	var target T
	ok := errors.As(err, &target)
	return target, ok
}
