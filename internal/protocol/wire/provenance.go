package wire

import "time"

// Provenance is where the kernel and the modules of a release come from, as the
// registrant says.
type Provenance struct {
	Packages []Package `json:"packages"`
	Archive  *Archive  `json:"archive,omitempty"` // nil: no archive's signature was checked
}

// Package is a package of a distribution.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"` // 64 hexadecimal digits
}

// Archive is the archive whose signed index lists the packages.
type Archive struct {
	Origin   string    `json:"origin"`
	Suite    string    `json:"suite"`
	SignedBy string    `json:"signed_by"` // fingerprint of the key
	Date     time.Time `json:"date"`      // of the index
}
