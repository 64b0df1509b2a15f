package registry

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// MaxName is how many characters a name may have; store.MaxName bounds its bytes.
const MaxName = 128

// Limits of labels, in bytes.
const (
	MaxLabel        = 64
	MaxLabelContent = store.MaxLabel
)

// CheckName refuses a name that could be mistaken for something else where
// people or programs read it: names are printable characters without a space at
// either end, no path, and no ID. The error is a *RefusedError.
func CheckName(name string) error {
	if err := checkText("name", name); err != nil {
		return err
	}
	switch _, err := wire.ParseUUID(name); {
	case utf8.RuneCountInString(name) > MaxName || len(name) > store.MaxName:
		return refused("a name has at most %d characters and %d bytes", MaxName, store.MaxName)
	case name == "":
		return refused("a name has at least one character")
	case strings.ContainsAny(name, `/\`) || name == "." || name == "..":
		return refused("a name is not a path")
	case err == nil:
		return refused("a name is not a UUID, which could be taken for an ID")
	}
	return nil
}

// checkText wants printable Unicode; other than U+0020, spaces are not. It keeps
// out what changes the direction of text or has no width.
func checkText(what, text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return refused("a %s has printable characters only", what)
	}
	if strings.TrimSpace(text) != text {
		return refused("a %s neither begins nor ends with a space", what)
	}
	return nil
}

// checkLabels wants labels like a.b/c-d_e and printable contents.
func checkLabels(labels map[string]string) error {
	if len(labels) > store.MaxLabels {
		return refused("an image has at most %d labels", store.MaxLabels)
	}
	for label, content := range labels {
		if label == "" || len(label) > MaxLabel || strings.ContainsFunc(label, notLabel) {
			return refused("label %.80q: want 1 to %d letters, digits and . _ - /", label, MaxLabel)
		}
		if len(content) > MaxLabelContent {
			return refused("label %s has more than %d bytes", label, MaxLabelContent)
		}
		if err := checkText("label", content); err != nil {
			return err
		}
	}
	return nil
}

func notLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/", r)
}
