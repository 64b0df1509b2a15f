package keyring

import (
	"io/fs"
	"testing"
)

func TestForOne(t *testing.T) {
	for _, tc := range []struct {
		mode        fs.FileMode
		owner, user int
		want        bool
	}{
		{0o600, 1000, 1000, true}, {0o400, 1000, 1000, true}, {0o640, 1000, 1000, false}, {0o440, 1000, 1000, false}, {0o604, 1000, 1000, false},
		{0o600, 0, 0, true}, {0o440, 0, 0, false}, {0o604, 0, 0, false},
		{0o400, 0, 1000, true}, {0o440, 0, 1000, true}, {0o460, 0, 1000, false}, {0o444, 0, 1000, false}, {0o450, 0, 1000, false},
		{0o440, 1001, 1000, false},
	} {
		if got := forOne(tc.mode, tc.owner, tc.user); got != tc.want {
			t.Errorf("mode %o of %d, read by %d: got %t", tc.mode, tc.owner, tc.user, got)
		}
	}
}
