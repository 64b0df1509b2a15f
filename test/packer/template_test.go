//go:build e2e

package packer

import (
	"strings"
	"testing"
	"text/template"
)

// world is what templates of tests are filled with.
type world struct {
	*service
	Image, Firmware string
	Dir             string // in which Packer runs
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{service: startService(t), Image: image(t), Firmware: firmware(t), Dir: t.TempDir()}
}

// common starts every template.
const common = `
packer {
  required_plugins {
    snpguard = {
      version = ">= 0.1.0"
      source  = "github.com/snpguard-go/snpguard"
    }
  }
}
`

// debian is a source of the builder.
const debian = `
source "snpguard" "NAME" {
  iso_url      = "{{.Image}}"
  iso_checksum = "none"
  firmware     = "{{.Firmware}}"
  service_url  = "{{.URL}}"
  fingerprint  = "{{.Fingerprint}}"
}
`

// registered is a post-processor of the image "web".
const registered = `
  post-processor "snpguard-register" {
    service_url = "{{.URL}}"
    ca_file     = "{{.CAFile}}"
    token       = "{{.Token}}"
    image_name  = "web"
    vcpus       = [1]
    vcpu_types  = ["EPYC-Milan"]
  }
`

// complete is a template with a builder and the post-processor behind it.
const complete = debian + "build {\n  sources = [\"source.snpguard.NAME\"]\n" + registered + "}\n"

// fill writes a template for a world; pairs are texts and what replaces them.
func (w *world) fill(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	text = strings.NewReplacer(append(pairs, "NAME", "web")...).Replace(common + text)
	var filled strings.Builder
	if err := template.Must(template.New("").Parse(text)).Execute(&filled, w); err != nil {
		t.Fatal(err)
	}
	return write(t, t.TempDir(), "test.pkr.hcl", []byte(filled.String()))
}
