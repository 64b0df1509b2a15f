package wire

import (
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode"
)

// Limits of the provenance of a registration. Lengths are in bytes.
const (
	MaxProvenancePackages = 16
	MaxProvenanceText     = 256 // of each text
)

// Provenance is what a release was made of, as its registrant says. It is not
// evidence: that is a verification by somebody else, who has recomputed it.
type Provenance struct {
	Packages []ProvenancePackage `json:"packages"` // 1 to MaxProvenancePackages
	// Archive is null where the packages are known by their hashes alone.
	Archive *ProvenanceArchive `json:"archive"`
}

// ProvenancePackage is a package of a Linux distribution that holds the kernel or
// modules.
type ProvenancePackage struct {
	Name         string `json:"name"`
	Version      string `json:"version"` // epoch and release included
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"` // of the package's file, 64 hexadecimal digits
}

// ProvenanceArchive is the Debian archive whose signed index lists the packages.
type ProvenanceArchive struct {
	Origin   string    `json:"origin"`    // such as "Debian"; empty where the index has none
	Suite    string    `json:"suite"`     // such as "stable-security"; empty where the index has none
	SignedBy string    `json:"signed_by"` // fingerprint of the OpenPGP primary key, 40 or 64 hexadecimal digits in upper case
	Date     time.Time `json:"date"`      // of the index
}

var (
	provenanceSHA256      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	provenanceFingerprint = regexp.MustCompile(`^([0-9A-F]{40}|[0-9A-F]{64})$`)
)

// Check says what is wrong with the shape of a provenance; nil is none, and right.
func (p *Provenance) Check() error {
	if p == nil {
		return nil
	}
	if len(p.Packages) == 0 || len(p.Packages) > MaxProvenancePackages {
		return fmt.Errorf("provenance has %d packages, want 1 to %d", len(p.Packages), MaxProvenancePackages)
	}
	seen := map[string]bool{}
	for _, k := range p.Packages {
		if !provenanceSHA256.MatchString(k.SHA256) {
			return errors.New("provenance: sha256 of a package is not 64 hexadecimal digits in lower case")
		}
		if seen[k.SHA256] {
			return errors.New("provenance names a package twice")
		}
		seen[k.SHA256] = true
		for _, text := range []string{k.Name, k.Version, k.Architecture} {
			if text == "" || !provenanceText(text) {
				return fmt.Errorf("provenance: a package's name, version and architecture are 1 to %d printable bytes", MaxProvenanceText)
			}
		}
	}
	return p.Archive.check()
}

func (a *ProvenanceArchive) check() error {
	switch {
	case a == nil:
		return nil
	case !provenanceText(a.Origin), !provenanceText(a.Suite):
		return fmt.Errorf("provenance: origin and suite of an archive are at most %d printable bytes", MaxProvenanceText)
	case !provenanceFingerprint.MatchString(a.SignedBy):
		return errors.New("provenance: signed_by of an archive is not a fingerprint of 40 or 64 hexadecimal digits in upper case")
	case a.Date.IsZero():
		return errors.New("provenance: an archive needs the date of its index")
	}
	return nil
}

// provenanceText takes one line that prints.
func provenanceText(text string) bool {
	for _, c := range text {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return false
		}
	}
	return len(text) <= MaxProvenanceText
}
