package web

import (
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestOfferedTypes looks at the types of vCPUs that can be chosen: those of
// processors with SEV-SNP, all of them.
func TestOfferedTypes(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	offered := map[string]bool{}
	for _, m := range regexp.MustCompile(`name="vcpu_type" value="([^"]*)"`).FindAllStringSubmatch(w.get("/register").Body.String(), -1) {
		offered[m[1]] = true
		if !strings.HasPrefix(m[1], "EPYC-Milan") && !strings.HasPrefix(m[1], "EPYC-Genoa") && !strings.HasPrefix(m[1], "EPYC-Turin") {
			t.Errorf("%s is offered", m[1])
		}
	}
	for _, name := range []string{"EPYC-Milan", "EPYC-Milan-v2", "EPYC-Genoa", "EPYC-Turin", "EPYC-Turin-v1"} {
		if !offered[name] {
			t.Errorf("%s is not offered", name)
		}
	}
}
