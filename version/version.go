// Package version names the release that this tree is or will become.
//
// CLI, service, agent and Packer plugin all print the same value.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Number is the semantic version, without a leading "v".
const Number = "0.1.0"

// Prerelease marks what is not a release: "dev", unless the linker has been told
// that it is empty. Packer reads it the same way, and looks for plugins that it
// has only with a "dev" on the network.
var Prerelease = "dev" //nolint:gochecknoglobals // the linker sets nothing but variables

// String returns Number, followed by "-" and Prerelease when there is one.
func String() string {
	if Prerelease == "" {
		return Number
	}
	return Number + "-" + Prerelease
}

// Line returns what programs print behind their names: version, revision and the
// compiler's version.
func Line() string {
	return fmt.Sprintf("%s (revision %s, %s)", String(), Revision(), runtime.Version())
}

// Revision returns the Git commit that the running binary was built from,
// with "-dirty" when the tree had changes, and "unknown" for a build without
// version-control stamping.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return revisionOf(info.Settings)
}

func revisionOf(settings []debug.BuildSetting) string {
	revision, suffix := "unknown", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = "-dirty"
		}
	}
	if revision == "unknown" {
		return revision
	}
	return revision + suffix
}
