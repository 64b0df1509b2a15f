// Package versions orders versions as distributions write them: those of kernels and
// the names of boot entries (UAPI group, "Version Format Specification", as far as boot
// entries need it).
package versions

import (
	"cmp"
	"strings"
)

// Compare orders version strings as people read them: runs of digits by
// value, "~" before the end, everything else by its bytes.
func Compare(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = run(a)
		y, b = run(b)
		if c := compareRuns(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// run cuts off leading digits, or what comes before digits.
func run(s string) (head, tail string) {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	n := 0
	for n < len(s) && digit(s[n]) == digit(s[0]) && (n == 0 || s[n] != '~') {
		n++
	}
	return s[:n], s[n:]
}

func compareRuns(x, y string) int {
	isNumber := func(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
	switch {
	case strings.HasPrefix(x, "~") != strings.HasPrefix(y, "~"):
		if strings.HasPrefix(x, "~") {
			return -1
		}
		return 1
	case isNumber(x) && isNumber(y):
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	}
	return cmp.Compare(x, y)
}
