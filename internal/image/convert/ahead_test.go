package convert

import (
	"fmt"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// TestRest has what is left to be written of a root, part of which was written early.
func TestRest(t *testing.T) {
	const k = int64(clusterSize)
	list := func(pairs ...int64) (out []rootfs.Range) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, rootfs.Range{Offset: pairs[i], Length: pairs[i+1] - pairs[i]})
		}
		return out
	}
	used := list(0, 3*k, 4*k, 4*k+4096, 6*k, 20*k)
	lent := list(k, 3*k, 4*k, 4*k+4096, 6*k+4096, 20*k)
	a := &ahead{used: used, lent: lent, early: covered(used, lent)}
	if want := list(k, 3*k, 4*k, 4*k+4096, 7*k, 20*k); fmt.Sprint(a.early) != fmt.Sprint(want) {
		t.Fatalf("early: %v, want %v", a.early, want)
	}
	for name, tt := range map[string]struct{ used, lent, rest []rootfs.Range }{
		"nothing changed":     {used, lent, list(0, k, 6*k, 7*k)},
		"less is lent":        {used, list(k, 2*k, 4*k, 4*k+4096, 6*k+4096, 20*k-4096), list(0, k, 2*k, 3*k, 6*k, 7*k, 19*k, 20*k)},
		"more is used":        {list(0, 3*k, 4*k, 4*k+8192, 6*k, 21*k), lent, list(0, k, 4*k, 4*k+8192, 6*k, 7*k, 20*k, 21*k)},
		"less is used":        {list(0, 3*k-4096, 6*k, 20*k), list(k, 3*k-4096, 6*k+4096, 20*k), list(0, k, 2*k, 3*k-4096, 6*k, 7*k)},
		"everything is used":  {list(0, 21*k), lent, list(0, k, 3*k, 7*k, 20*k, 21*k)},
		"nothing is lent now": {used, nil, used},
	} {
		if got := near(a.rest(tt.used, tt.lent), 1); fmt.Sprint(got) != fmt.Sprint(tt.rest) {
			t.Errorf("%s: %v, want %v", name, got, tt.rest)
		}
	}
}
