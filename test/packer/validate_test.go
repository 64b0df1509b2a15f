//go:build e2e

package packer

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// TestExamples initialises and validates what users get, without a network.
func TestExamples(t *testing.T) {
	w := newWorld(t)
	for name, vars := range map[string][]string{
		"debian.pkr.hcl":     w.vars(),
		"ubuntu.pkr.hcl":     {"-var", "image=" + w.Image, "-var", "checksum=none", "-var", "firmware=" + w.Firmware, "-var", "service_url=" + w.URL, "-var", "ca_file=" + w.CAFile},
		"qemu-chain.pkr.hcl": {"-var", "image=" + w.Image, "-var", "firmware=" + w.Firmware, "-var", "service_url=" + w.URL, "-var", "ca_file=" + w.CAFile, "-var", "ssh_private_key_file=" + w.CAFile},
	} {
		t.Run(name, func(t *testing.T) {
			succeed(t, packer(w.Dir, "init", example(t, name)))
			cmd := packer(w.Dir, append(append([]string{"validate"}, vars...), example(t, name))...)
			cmd.Env = append(cmd.Env, "SNPGUARD_TOKEN="+w.Token)
			succeed(t, cmd)
			succeed(t, packer(w.Dir, "fmt", "-check", example(t, name)))
		})
	}
}

// TestDescribe asks the plugin what it has.
func TestDescribe(t *testing.T) {
	out, err := exec.Command(filepath.Join(bin(), "packer-plugin-snpguard"), "describe").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"builders":["-packer-default-plugin-name-"]`, `"post_processors":["convert","embed","register"]`, `"datasources":["image","instance","service"]`, `"api_version":"x5.0"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s lacks %s", out, want)
		}
	}
}

// TestValidateRefuses changes one thing in a template that is right.
func TestValidateRefuses(t *testing.T) {
	w := newWorld(t)
	succeed(t, packer(w.Dir, "validate", w.fill(t, complete)))
	noTable := write(t, t.TempDir(), "OVMF.fd", vectors.MustRead(t, "measure/inputs/fw/ovmf-trixie-2025.02.fd"))
	away := "https://127.0.0.1:1"
	first := func(old, other string) string { return strings.Replace(complete, old, other, 1) }
	for name, tc := range map[string]struct{ template, want string }{
		"no source":         {first("iso_url ", "#iso_url "), "One of iso_url or iso_urls must be specified"},
		"firmware":          {first("{{.Firmware}}", noTable), "firmware: "},
		"no firmware":       {first("{{.Firmware}}", "/nonexistent"), "firmware: stat /nonexistent: no such file"},
		"size":              {first("firmware ", "size = \"much\"\n  firmware "), "size: "},
		"network":           {first("firmware ", "network = \"wlan\"\n  firmware "), "network: "},
		"recipient":         {first("firmware ", "recovery_recipients = [\"me\"]\n  firmware "), "recovery_recipients: "},
		"agent":             {first("firmware ", "agent_path = \"/nonexistent\"\n  firmware "), "agent_path: "},
		"fingerprint":       {first("{{.Fingerprint}}", strings.Repeat("0", 64)), "fingerprint: the CA of "},
		"nobody vouches":    {first(`"{{.Fingerprint}}"`, `""`), "give fingerprint or ca_file"},
		"half of the keys":  {first("firmware ", "identity_key = \"x\"\n  firmware "), "ingestion_key is missing: it goes with identity_key"},
		"vCPU type":         {first("EPYC-Milan", "EPYC-Rome-Sweet"), "vcpu_types: "},
		"vCPUs":             {first("[1]", "[0]"), "vcpus: 0 is not a number from 1"},
		"guest policy":      {first("vcpus ", "guest_policy = \"magic\"\n    vcpus "), "guest_policy: "},
		"TCB floor":         {first("vcpus ", "tcb_floors = [\"Milan:snp=1\"]\n    vcpus "), "tcb_floors: "},
		"image name":        {first(`image_name  = "web"`, ""), "image_name is missing"},
		"token":             {first("{{.Token}}", "snpg_wrong"), "token: "},
		"no token":          {first("{{.Token}}", ""), "token is missing"},
		"service is away":   {strings.Replace(complete, `service_url = "{{.URL}}"`, `service_url = "`+away+`"`, 1), "service_url: "},
		"unknown attribute": {first("vcpus ", "vcpu = 1\n    vcpus "), "Unsupported argument"},
	} {
		t.Run(name, func(t *testing.T) {
			out := fail(t, packer(w.Dir, "validate", w.fill(t, tc.template)), tc.want)
			if strings.Contains(out, w.Token) {
				t.Error("the token is in the message")
			}
		})
	}
	t.Run("programs", func(t *testing.T) {
		cmd := packer(w.Dir, "validate", w.fill(t, complete))
		cmd.Env = append(cmd.Env, "PATH="+t.TempDir())
		fail(t, cmd, "qemu-img is missing: install qemu-utils")
	})
	if entries, err := os.ReadDir(w.Dir); err != nil || len(entries) != 0 {
		t.Errorf("validating left %v, %v", entries, err)
	}
}
