//go:build e2e

package packer

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// TestQemuChain converts and registers what the qemu builder leaves, and embeds the
// bundle: the example.
func TestQemuChain(t *testing.T) {
	w := newWorld(t)
	cmd := packer(w.Dir, "build", "-except", "none", "-var", "image="+w.Image, "-var", "firmware="+w.Firmware,
		"-var", "service_url="+w.URL, "-var", "ca_file="+w.CAFile, "-var", "ssh_private_key_file="+w.CAFile, example(t, "qemu-chain.pkr.hcl"))
	cmd.Env = append(cmd.Env, "SNPGUARD_TOKEN="+w.Token, "PACKER_LOG=1")
	if out := succeed(t, cmd); strings.Contains(out, w.Token) {
		t.Error("the token is in Packer's log")
	}
	c, err := staging.Read(filepath.Join(w.Dir, "output-web", "staging"))
	if err != nil {
		t.Fatal(err)
	}
	if w.images(t)["web"].ID != c.ImageID {
		t.Error("what was converted is not what is registered")
	}
	shown, err := exec.Command(filepath.Join(scratch, "snpguard"), "artifacts", "show", "--image", filepath.Join(w.Dir, "output-web", "web.qcow2"),
		"--identity-key", w.Identity).CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^A \(active\) +.*image `+c.ImageID.String()).Match(shown) {
		t.Errorf("on the disk: %v\n%s", err, shown)
	}
	if left := exists(t, filepath.Join(w.Dir, "output-web-clear")); len(left) != 0 {
		t.Error("the disk in clear is still there")
	}
}

// TestKeepInput converts a file that is to be kept, and one of several.
func TestKeepInput(t *testing.T) {
	w := newWorld(t)
	const body = `
source "file" "disk" {
  source = "{{.Image}}"
  target = "disk.qcow2"
}
build {
  sources = ["source.file.disk"]
  post-processor "snpguard-convert" {
    in                  = "disk.qcow2"
    firmware            = "{{.Firmware}}"
    service_url         = "{{.URL}}"
    fingerprint         = "{{.Fingerprint}}"
    format              = "raw"
    keep_input_artifact = true
  }
}
`
	fail(t, packer(w.Dir, "build", w.fill(t, body, `"disk.qcow2"
    firmware`, `"other.qcow2"
    firmware`)), "in: the artifact has no file other.qcow2")
	succeed(t, packer(w.Dir, "build", w.fill(t, body)))
	for _, name := range []string{"disk.qcow2", "output-disk-snpguard/disk.raw", "output-disk-snpguard/staging/conversion.json"} {
		if _, err := os.Stat(filepath.Join(w.Dir, name)); err != nil {
			t.Error(err)
		}
	}
}
