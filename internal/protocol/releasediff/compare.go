// Package releasediff names every difference between two releases of an image, as the
// service tells of them: command line word by word, files by size and hash, guest
// policy, report policy, variants and provenance. internal/image/bootdiff looks
// into the files.
package releasediff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Change is one difference. Old or New is empty for what one release lacks.
type Change struct {
	What string `json:"what"`           // such as "command line" or "variant"
	Name string `json:"name,omitempty"` // of one among several, such as "4xEPYC-Genoa"
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Compare returns the differences of two releases as their service shows them, in the
// order in which people review them. What was decided of them is none.
func Compare(a, b *wire.Release) []Change {
	changes := Words(a.Cmdline, b.Cmdline)
	changes = append(changes, one("guest policy", a.GuestPolicy, b.GuestPolicy)...)
	changes = append(changes, one("guest SVN", fmt.Sprint(a.GuestSVN), fmt.Sprint(b.GuestSVN))...)
	changes = append(changes, Keyed("file", artifacts(a), artifacts(b))...)
	changes = append(changes, one("report policy", policy(a), policy(b))...)
	changes = append(changes, Keyed("package", packages(a), packages(b))...)
	changes = append(changes, one("archive", archive(a), archive(b))...)
	changes = append(changes, Keyed("finding", findings(a), findings(b))...)
	return append(changes, Keyed("variant", variants(a), variants(b))...)
}

func one(what, a, b string) []Change {
	if a == b {
		return nil
	}
	return []Change{{What: what, Old: a, New: b}}
}

// Keyed returns the differences of two sets of named things, by name.
func Keyed(what string, a, b map[string]string) []Change {
	var changes []Change
	for name, old := range a {
		if now, ok := b[name]; !ok || now != old {
			changes = append(changes, Change{what, name, old, now})
		}
	}
	for name, now := range b {
		if _, ok := a[name]; !ok {
			changes = append(changes, Change{what, name, "", now})
		}
	}
	slices.SortFunc(changes, func(x, y Change) int { return strings.Compare(x.Name, y.Name) })
	return changes
}

// Words returns how a command line becomes another: words that are gone, then those
// that are new, each in its order. Words that only changed places are told as such, for
// the kernel takes the last of two.
func Words(a, b string) []Change {
	old, now := strings.Fields(a), strings.Fields(b)
	var changes []Change
	for _, word := range without(old, now) {
		changes = append(changes, Change{What: "command line", Old: word})
	}
	for _, word := range without(now, old) {
		changes = append(changes, Change{What: "command line", New: word})
	}
	if len(changes) == 0 && a != b {
		return []Change{{What: "command line, in another order", Old: a, New: b}}
	}
	return changes
}

// without returns the words of all that are not in other, as often as they are more.
func without(all, other []string) []string {
	left := make(map[string]int)
	for _, word := range other {
		left[word]++
	}
	var words []string
	for _, word := range all {
		if left[word]--; left[word] < 0 {
			words = append(words, word)
		}
	}
	return words
}

func artifacts(r *wire.Release) map[string]string {
	m := make(map[string]string)
	for _, a := range r.Artifacts {
		m[a.Name] = fmt.Sprintf("%d bytes, SHA-256 %s", a.Size, a.SHA256)
	}
	return m
}

// policy returns the report policy, empty for none.
func policy(r *wire.Release) string {
	if string(r.Policy) == "null" {
		return ""
	}
	return string(r.Policy)
}

func packages(r *wire.Release) map[string]string {
	m := make(map[string]string)
	if r.Provenance == nil {
		return m
	}
	for _, p := range r.Provenance.Packages {
		m[p.Name] = strings.TrimPrefix(m[p.Name]+"; "+fmt.Sprintf("%s %s, SHA-256 %s", p.Version, p.Architecture, p.SHA256), "; ")
	}
	return m
}

func archive(r *wire.Release) string {
	if r.Provenance == nil || r.Provenance.Archive == nil {
		return ""
	}
	a := r.Provenance.Archive
	return fmt.Sprintf("%s %s of %s, signed by %s", a.Origin, a.Suite, a.Date.UTC().Format("2006-01-02 15:04:05Z"), a.SignedBy)
}

func findings(r *wire.Release) map[string]string {
	m := make(map[string]string)
	for _, f := range r.Findings {
		m[f.Code] = strings.TrimPrefix(m[f.Code]+"; "+cmp.Or(f.Severity, "unknown")+": "+f.Text, "; ")
	}
	return m
}

func variants(r *wire.Release) map[string]string {
	m := make(map[string]string)
	for _, v := range r.Variants {
		m[fmt.Sprintf("%dx%s", v.VCPUs, v.VCPUType)] = v.Measurement
	}
	return m
}
