//go:build e2e

package packer

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

const looking = `
data "snpguard-service" "attest" {
  service_url = "{{.URL}}"
  fingerprint = "{{.Fingerprint}}"
}
data "snpguard-image" "web" {
  service_url = data.snpguard-service.attest.url
  ca_file     = data.snpguard-service.attest.ca
  token       = "{{.Token}}"
  name        = "web"
}
source "null" "look" {
  communicator = "none"
}
build {
  sources = ["source.null.look"]
  provisioner "shell-local" {
    inline = [
      "echo version=${data.snpguard-service.attest.version}",
      "echo ca=${data.snpguard-service.attest.ca_fingerprint}",
      "echo id=${data.snpguard-image.web.id} enabled=${data.snpguard-image.web.enabled}",
      "echo digest=${data.snpguard-image.web.releases[0].variants[0].measurement}",
    ]
  }
}
`

// TestDataSources converts with keys that a data source gives, and looks at the
// image that was registered.
func TestDataSources(t *testing.T) {
	w := newWorld(t)
	fail(t, packer(w.Dir, "build", w.fill(t, looking)), "no image matches")
	succeed(t, packer(w.Dir, "validate", w.fill(t, looking)))
	ubuntu := []string{
		"-var", "image=" + w.Image, "-var", "checksum=none", "-var", "firmware=" + w.Firmware,
		"-var", "service_url=" + w.URL, "-var", "ca_file=" + w.CAFile, example(t, "ubuntu.pkr.hcl"),
	}
	cmd := packer(w.Dir, append([]string{"build"}, ubuntu...)...)
	cmd.Env = append(cmd.Env, "SNPGUARD_TOKEN="+w.Token)
	succeed(t, cmd)

	out := succeed(t, packer(w.Dir, "build", w.fill(t, strings.Replace(looking, `"web"
}`, `"ubuntu-24.04"
}`, 1))))
	image, err := w.Client.Image(t.Context(), w.images(t)["ubuntu-24.04"].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"version=" + version.Number, "ca=" + w.Fingerprint, "id=" + image.ID.String() + " enabled=true",
		"digest=" + image.Releases[0].Variants[0].Measurement,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
