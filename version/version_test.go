package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestStringIsSemantic(t *testing.T) {
	got := String()
	if !strings.HasPrefix(got, Number) || strings.HasPrefix(got, "v") {
		t.Errorf("String() = %q", got)
	}
	if (Prerelease == "") != (got == Number) {
		t.Errorf("String() = %q with prerelease %q", got, Prerelease)
	}
}

func TestRevisionOf(t *testing.T) {
	for _, tc := range []struct {
		name     string
		settings []debug.BuildSetting
		want     string
	}{
		{"no stamp", nil, "unknown"},
		{"clean", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}, "abc"},
		{"dirty", []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}}, "abc-dirty"},
		{"modified without revision", []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, "unknown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := revisionOf(tc.settings); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
