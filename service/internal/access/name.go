package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// maxName is how many characters a name may have; store.MaxName bounds its bytes.
const maxName = 128

// CheckName refuses a name that could be mistaken for something else where
// people or programs read it: names are printable characters without a space at
// either end, no path, and no ID. The error is an *InvalidError.
func CheckName(name string) error {
	if err := CheckText("name", name); err != nil {
		return err
	}
	switch _, err := wire.ParseUUID(name); {
	case utf8.RuneCountInString(name) > maxName || len(name) > store.MaxName:
		return invalidf("a name can have at most %d characters and %d bytes", maxName, store.MaxName)
	case name == "":
		return invalidf("a name must not be empty")
	case strings.ContainsAny(name, `/\`) || name == "." || name == "..":
		return invalidf("a name must not be a path")
	case err == nil:
		return invalidf("a name must not be a UUID, which could be mistaken for an ID")
	}
	return nil
}

// CheckText wants printable Unicode; other than U+0020, spaces are not. It keeps
// out what changes the direction of text or has no width. The error is an *InvalidError.
func CheckText(what, text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return invalidf("a %s can have printable characters only", what)
	}
	if strings.TrimSpace(text) != text {
		return invalidf("a %s must not begin or end with a space", what)
	}
	return nil
}
