package register_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// TestInstancesNeedTheMinimalInitrd: a distribution's own would only fail in the guest.
func TestInstancesNeedTheMinimalInitrd(t *testing.T) {
	for _, tc := range []struct {
		mode, initrd string
		wrong        option.Name
	}{
		{"", "distribution", ""},
		{"none", "distribution", ""},
		{"none", "", ""},
		{"named", "minimal", ""},
		{"auto", "minimal", ""},
		{"named", "distribution", "instances"},
		{"auto", "distribution", "instances"},
		{"named", "", "instances"},
	} {
		c := good()
		c.Staging, c.Instances = staged(t), tc.mode
		if tc.mode == "auto" {
			c.InstanceLimit = 5
		}
		writeConversion(t, c.Staging, tc.initrd)
		_, err := c.Request()
		var wrong *option.Error
		switch {
		case tc.wrong == "" && err != nil:
			t.Errorf("instances %q, initrd %q: %v", tc.mode, tc.initrd, err)
		case tc.wrong != "" && (!errors.As(err, &wrong) || wrong.Option != tc.wrong || !strings.Contains(err.Error(), "minimal initrd")):
			t.Errorf("instances %q, initrd %q: got %v", tc.mode, tc.initrd, err)
		}
	}
}

// TestInstancesWithoutStaging cannot know, and does not guess.
func TestInstancesWithoutStaging(t *testing.T) {
	dir := staged(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	c := good()
	c.ImageID, c.Instances = imageID, "named"
	c.Firmware, c.Kernel, c.Initrd = path(staging.NameFirmware), path(staging.NameKernel), path(staging.NameInitrd)
	c.CmdlineFile, c.UnsealingKey = path(staging.NameCmdline), path(staging.NameUnsealingKey)
	var wrong *option.Error
	if _, err := c.Request(); !errors.As(err, &wrong) || wrong.Option != "staging" {
		t.Errorf("got %v", err)
	}
	c.Instances = ""
	if _, err := c.Request(); err != nil {
		t.Errorf("without instances: %v", err)
	}
}

func writeConversion(t *testing.T, dir, initrd string) {
	t.Helper()
	text := `{"format": 1, "image_id": "` + imageID + `", "initrd": "` + initrd + `"}`
	if err := os.WriteFile(filepath.Join(dir, staging.NameConversion), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
