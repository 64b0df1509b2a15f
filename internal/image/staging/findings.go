package staging

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Unmended returns what a conversion has found and not mended as a registration
// tells it: one finding of each code, as bad as its worst, the critical ones first,
// those marked whose code is accepted. It is never nil.
func Unmended(list []Finding, accepted []string) []wire.Finding {
	found := []wire.Finding{}
	more := map[string]int{}
	for _, f := range list {
		switch at := slices.IndexFunc(found, func(w wire.Finding) bool { return w.Code == f.Code }); {
		case f.Mended:
		case at < 0:
			found = append(found, wire.Finding{Code: f.Code, Severity: f.Severity, Text: shorten(f.Text()), Accepted: slices.Contains(accepted, f.Code)})
		default:
			more[f.Code]++
			if f.Severity == wire.SeverityCritical && found[at].Severity != wire.SeverityCritical {
				found[at].Severity, found[at].Text = f.Severity, shorten(f.Text())
			}
		}
	}
	for i := range found {
		if n := more[found[i].Code]; n > 0 {
			found[i].Text += fmt.Sprintf(" (and %d more)", n)
		}
	}
	slices.SortStableFunc(found, func(a, b wire.Finding) int { return rank(a) - rank(b) })
	return found
}

func rank(f wire.Finding) int {
	if f.Severity == wire.SeverityCritical {
		return 0
	}
	return 1
}

// shorten leaves room for what is said of further findings. Paths are an image's,
// and may hold anything.
func shorten(text string) string {
	const most = wire.MaxFindingText - 64
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) && c != unicode.ReplacementChar {
			return c
		}
		return '?'
	}, text)
	for len(text) > most {
		runes := []rune(text)
		text = string(runes[:len(runes)*most/len(text)])
	}
	return text
}
