package convert

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// TestDistributionsInitrd keeps the image's own initrd byte for byte, and its programs
// get the words that they obey.
func TestDistributionsInitrd(t *testing.T) {
	o, _ := tinyOptions(t, tinyImage(t, tinyTree(t)))
	o.Initrd, o.OptionalModules = bootconf.InitrdDistribution, true
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	initrd, err := os.ReadFile(filepath.Join(o.Staging, staging.NameInitrd))
	if err != nil || !bytes.HasPrefix(initrd, []byte(tinyInitrd(t, "init")+"\x00")) {
		t.Errorf("initrd: %.40q, %v", initrd, err)
	}
	if c.Initrd != bootconf.InitrdDistribution || !c.OptionalModules || !strings.Contains(c.Cmdline, "rd.emergency=poweroff") {
		t.Errorf("%+v", c)
	}
}
