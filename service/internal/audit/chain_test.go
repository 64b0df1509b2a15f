package audit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// FuzzHead reads heads. What is taken is the one way to write it, but for the case
// of letters.
func FuzzHead(f *testing.F) {
	f.Add("1:" + strings.Repeat("aF", 32))
	f.Add("-9223372036854775808:" + strings.Repeat("00", 32))
	f.Add("01:" + strings.Repeat("00", 32))
	f.Fuzz(func(t *testing.T, text string) {
		h, err := audit.ParseHead(text)
		if err == nil && (h.String() != strings.ToLower(text) || h.Seq < 0) || err != nil && !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("%q: got %s, %v", text, h, err)
		}
	})
}
