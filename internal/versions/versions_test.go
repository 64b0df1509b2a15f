package versions_test

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/versions"
)

func TestCompareVersions(t *testing.T) {
	ordered := []string{"5.4.0", "6.1.0-9-amd64", "6.1.0-10-amd64", "6.9", "6.10~rc1", "6.10", "6.10.1", "6.12.117+deb13-cloud-amd64", "10.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := versions.Compare(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s to %s: %d", a, b, got)
			}
		}
	}
}
