package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func provenance() *wire.Provenance {
	return &wire.Provenance{
		Packages: []wire.ProvenancePackage{{
			Name: "linux-image-6.12.90+deb13-cloud-amd64", Version: "6.12.90-1", Architecture: "amd64", SHA256: strings.Repeat("0a", 32),
		}},
		Archive: &wire.ProvenanceArchive{Origin: "Debian", Suite: "stable", SignedBy: strings.Repeat("AB", 20), Date: time.Unix(1767225600, 0).UTC()},
	}
}

func TestProvenance(t *testing.T) {
	var none *wire.Provenance
	if none.Check() != nil || provenance().Check() != nil {
		t.Errorf("refused: %v, %v", none.Check(), provenance().Check())
	}
	for name, change := range map[string]func(*wire.Provenance){
		"no package":        func(p *wire.Provenance) { p.Packages = nil },
		"too many packages": func(p *wire.Provenance) { p.Packages = make([]wire.ProvenancePackage, wire.MaxProvenancePackages+1) },
		"twice":             func(p *wire.Provenance) { p.Packages = append(p.Packages, p.Packages[0]) },
		"hash":              func(p *wire.Provenance) { p.Packages[0].SHA256 = strings.Repeat("0A", 32) },
		"no name":           func(p *wire.Provenance) { p.Packages[0].Name = "" },
		"long version":      func(p *wire.Provenance) { p.Packages[0].Version = strings.Repeat("1", wire.MaxProvenanceText+1) },
		"escape sequence":   func(p *wire.Provenance) { p.Packages[0].Architecture = "amd64\x1b[2J" },
		"not UTF-8":         func(p *wire.Provenance) { p.Archive.Origin = "\xff" },
		"two lines":         func(p *wire.Provenance) { p.Archive.Suite = "stable\nsigned" },
		"fingerprint":       func(p *wire.Provenance) { p.Archive.SignedBy = "0xABCDEF" },
		"no date":           func(p *wire.Provenance) { p.Archive.Date = time.Time{} },
	} {
		p := provenance()
		change(p)
		if p.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestRegistrationCarriesProvenance(t *testing.T) {
	encoded, err := json.Marshal(wire.Registration{Provenance: provenance()})
	if err != nil || !strings.Contains(string(encoded), `"provenance":{"packages":[{"name":"linux-image-`) {
		t.Errorf("got %s, %v", encoded, err)
	}
	if encoded, err := json.Marshal(wire.Registration{}); err != nil || strings.Contains(string(encoded), "provenance") {
		t.Errorf("without one: %s, %v", encoded, err)
	}
}
