package store

import (
	"strings"
	"unicode/utf8"
)

// The most that the store takes, in bytes where nothing else is said. What the
// API allows may be less.
const (
	MaxName     = 200
	MaxLabels   = 64 // labels of an image
	MaxLabel    = 200
	maxCmdline  = 64 << 10
	MaxBytes    = 64 << 10 // a policy, a sealed key or secret, a setting
	MaxVariants = 256      // variants of a release
	MaxReleases = 1000     // releases of an image
	MaxProposed = 50       // of them not approved yet
	maxVCPUType = 64

	// Sizes of an ID block and of ID authentication information (56860
	// rev. 1.58, section 8.18).
	IDBlockSize = 96
	IDAuthSize  = 4096
)

// checkText refuses what one of the databases would not store: bytes that are
// not UTF-8, and NUL. The error wraps ErrInvalid.
func checkText(what, text string, most int) error {
	switch {
	case len(text) > most:
		return invalidf("%s has %d bytes, want at most %d", what, len(text), most)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return invalidf("%s is not text", what)
	}
	return nil
}

// checkName is checkText for what must not be empty.
func checkName(what, text string) error {
	if text == "" {
		return invalidf("%s is empty", what)
	}
	return checkText(what, text, MaxName)
}

// checkAtMost refuses too many bytes. The error wraps ErrInvalid.
func checkAtMost(what string, b []byte) error {
	if len(b) > MaxBytes {
		return invalidf("%s has %d bytes, want at most %d", what, len(b), MaxBytes)
	}
	return nil
}

// checkBytes refuses bytes that are missing or too many. The error wraps
// ErrInvalid.
func checkBytes(what string, b []byte) error {
	if len(b) == 0 || len(b) > MaxBytes {
		return invalidf("%s has %d bytes, want 1 to %d", what, len(b), MaxBytes)
	}
	return nil
}
