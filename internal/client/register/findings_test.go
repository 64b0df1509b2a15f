package register_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// found makes a staging directory of a conversion with findings.
func found(t *testing.T, findings string) register.Config {
	t.Helper()
	c := good()
	c.Staging = staged(t)
	record := `{"format": 1, "image_id": "` + imageID + `", "findings": [` + findings + `]}`
	if err := os.WriteFile(filepath.Join(c.Staging, staging.NameConversion), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	hostKeys = `{"code": "ssh-host-key", "severity": "critical", "path": "etc/ssh/ssh_host_rsa_key", "detail": "known", "mended": false},
		{"code": "ssh-host-key", "severity": "critical", "path": "etc/ssh/ssh_host_ecdsa_key", "detail": "known", "mended": false}`
	mended  = `{"code": "cloud-init", "severity": "critical", "path": "etc/cloud/cloud.cfg", "detail": "x", "mended": true}`
	warning = `{"code": "kdump", "severity": "warning", "path": "", "detail": "memory is written", "mended": false}`
)

// An image that the host gets into is not registered, unless its owner accepts
// each finding.
func TestCriticalFindingsAreRefused(t *testing.T) {
	c := found(t, warning+","+hostKeys+","+mended)
	_, err := c.Request()
	if !slices.Equal(wrongOptions(t, err), []option.Name{"accept_findings"}) || !strings.Contains(err.Error(), "ssh-host-key: /etc/ssh/ssh_host_rsa_key: known (and 1 more)") ||
		strings.Contains(err.Error(), "cloud-init") || strings.Contains(err.Error(), "kdump") {
		t.Fatalf("got %v", err)
	}
	c.AcceptFindings = []string{"console-password"}
	if _, err := c.Request(); !slices.Equal(wrongOptions(t, err), []option.Name{"accept_findings"}) {
		t.Errorf("another one is accepted: %v", err)
	}
	c.AcceptFindings = []string{"console-password", "ssh-host-key"}
	r, err := c.Request()
	want := []wire.Finding{
		{Code: "ssh-host-key", Severity: "critical", Text: "/etc/ssh/ssh_host_rsa_key: known (and 1 more)", Accepted: true},
		{Code: "kdump", Severity: "warning", Text: "memory is written"},
	}
	if err != nil || !slices.Equal(r.Registration.Findings, want) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// One critical finding among others of its code counts, wherever it stands.
func TestWorstOfACodeCounts(t *testing.T) {
	c := found(t, `{"code": "x", "severity": "warning", "path": "a", "detail": "less"}, {"code": "x", "severity": "critical", "path": "b", "detail": "more"}`)
	if _, err := c.Request(); !slices.Equal(wrongOptions(t, err), []option.Name{"accept_findings"}) || !strings.Contains(err.Error(), "/b: more") {
		t.Errorf("got %v", err)
	}
}

func TestFindingsOfNobody(t *testing.T) {
	c := found(t, "")
	if r, err := c.Request(); err != nil || r.Registration.Findings == nil || len(r.Registration.Findings) != 0 {
		t.Errorf("a conversion without any: %+v, %v", r, err)
	}
	dir := c.Staging
	c = good()
	c.ImageID = imageID
	for name, path := range map[string]*string{
		staging.NameFirmware: &c.Firmware, staging.NameKernel: &c.Kernel, staging.NameInitrd: &c.Initrd,
		staging.NameCmdline: &c.CmdlineFile, staging.NameUnsealingKey: &c.UnsealingKey,
	} {
		*path = filepath.Join(dir, name)
	}
	if r, err := c.Request(); err != nil || r.Registration.Findings != nil {
		t.Errorf("without a staging directory: %+v, %v", r, err)
	}
}

// A file name of an image must not keep it from being registered, nor speak to a
// terminal.
func TestFindingsAreText(t *testing.T) {
	c := found(t, `{"code": "x", "severity": "note", "path": "a\u001b[2J\u0000", "detail": "b\ufffd"}`)
	r, err := c.Request()
	if err != nil || r.Registration.Findings[0].Text != "/a?[2J?: b?" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestLongFindingsAreCut(t *testing.T) {
	c := found(t, `{"code": "x", "severity": "note", "path": "a", "detail": "`+strings.Repeat("é", 1000)+`"}`)
	r, err := c.Request()
	if err != nil || len(r.Registration.Findings[0].Text) > wire.MaxFindingText-64 || !strings.HasPrefix(r.Registration.Findings[0].Text, "/a: é") {
		t.Errorf("got %+v, %v", r, err)
	}
}
