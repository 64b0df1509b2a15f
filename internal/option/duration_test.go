package option_test

import (
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 30 * 24 * time.Hour, "90d": 90 * 24 * time.Hour, "24h": 24 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0,
	} {
		var d option.Duration
		if err := d.Set(text); err != nil || time.Duration(d) != want || d.String() != text {
			t.Errorf("%q: got %s, %v", text, d.String(), err)
		}
	}
	for _, text := range []string{"", "d", "24x", "-1d", "1.5d", "106752d", "4294967296d"} {
		var d option.Duration
		if err := d.Set(text); err == nil {
			t.Errorf("%q is taken as %s", text, d.String())
		}
	}
}
