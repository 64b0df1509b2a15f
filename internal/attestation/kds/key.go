package kds

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Kind is the kind of a cache entry.
type Kind string

// The kinds of cache entries and what their data is.
const (
	KindVCEK  Kind = "vcek"  // the DER of a VCEK certificate
	KindChain Kind = "chain" // PEM: ASK or ASVK, then ARK
	KindCRL   Kind = "crl"   // the DER of a certificate revocation list
)

// Limits of the data of an entry, in bytes.
const (
	maxCertificateSize = 1 << 20
	maxCRLSize         = 10 << 20
)

// Key names a cache entry. It is comparable; make one with VCEKKey, ChainKey,
// CRLKey or ParseKey.
type Key struct {
	Kind    Kind
	Product snp.Product

	// Signer says whose chain or CRL it is. A VCEK has the zero value.
	Signer snp.SigningKey

	// ChipID and TCB say which VCEK it is. Elsewhere they are zero.
	ChipID [snp.ChipIDSize]byte
	TCB    snp.TCB
}

// VCEKKey names the VCEK of a chip at a TCB. The chip ID is as a report has it: on
// Turin all but the first 8 bytes are zero. A chip ID of zeros is a report's that
// hides it, and no chip's.
func VCEKKey(p snp.Product, chipID [snp.ChipIDSize]byte, tcb snp.TCB) (Key, error) {
	if _, err := snp.ParseProduct(string(p)); err != nil {
		return Key{}, err
	}
	if chipID == [snp.ChipIDSize]byte{} {
		return Key{}, errors.New("chip ID is all zero: the host hides it, so the VCEK must come with the report")
	}
	if slices.ContainsFunc(chipID[p.HardwareIDSize():], func(b byte) bool { return b != 0 }) {
		return Key{}, fmt.Errorf("chip ID of a %s has more than %d bytes", p, p.HardwareIDSize())
	}
	if p != snp.Turin && tcb.FMC != 0 {
		return Key{}, fmt.Errorf("%s has no FMC level", p)
	}
	return Key{Kind: KindVCEK, Product: p, ChipID: chipID, TCB: tcb}, nil
}

// ChainKey names the certificates above the VCEKs or VLEKs of a product line.
func ChainKey(p snp.Product, signer snp.SigningKey) (Key, error) {
	return signerKey(KindChain, p, signer)
}

// CRLKey names the certificate revocation list for the VCEKs or VLEKs of a
// product line.
func CRLKey(p snp.Product, signer snp.SigningKey) (Key, error) {
	return signerKey(KindCRL, p, signer)
}

func signerKey(kind Kind, p snp.Product, signer snp.SigningKey) (Key, error) {
	if _, err := snp.ParseProduct(string(p)); err != nil {
		return Key{}, err
	}
	if signer != snp.SignedByVCEK && signer != snp.SignedByVLEK {
		return Key{}, fmt.Errorf("%s: want VCEK or VLEK", signer)
	}
	return Key{Kind: kind, Product: p, Signer: signer}, nil
}

// String returns the name of the entry, such as "crl-Genoa-vlek.der" or
// "vcek-Turin-3b42092f69c656d3-0001000200000047.der": a safe file name, lower
// case hexadecimal, with the TCB version in the layout of the product line.
func (k Key) String() string {
	switch k.Kind {
	case KindVCEK:
		return fmt.Sprintf("vcek-%s-%x-%x.der", k.Product, k.hardwareID(), k.TCB.Bytes(k.Product))
	case KindChain:
		return fmt.Sprintf("chain-%s-%s.pem", k.Product, strings.ToLower(k.Signer.String()))
	}
	return fmt.Sprintf("%s-%s-%s.der", k.Kind, k.Product, strings.ToLower(k.Signer.String()))
}

// hardwareID returns the part of the chip ID that certificates and URLs use.
func (k Key) hardwareID() []byte { return k.ChipID[:k.Product.HardwareIDSize()] }

// MaxSize returns the most bytes that the data of the entry may have.
func (k Key) MaxSize() int {
	if k.Kind == KindCRL {
		return maxCRLSize
	}
	return maxCertificateSize
}

// ParseKey reads a name as String writes it, and no other.
func ParseKey(name string) (Key, error) {
	key, err := parseKey(name)
	if err == nil && key.String() != name {
		err = errors.New("not in the form that is written here")
	}
	if err != nil {
		return Key{}, fmt.Errorf("name %.200q: %w", name, err)
	}
	return key, nil
}

func parseKey(name string) (Key, error) {
	stem, _, _ := strings.Cut(name, ".")
	parts := strings.Split(stem, "-")
	if len(parts) < 3 {
		return Key{}, errors.New("want KIND-PRODUCT-OWNER")
	}
	p, err := snp.ParseProduct(parts[1])
	if err != nil {
		return Key{}, err
	}
	switch kind := Kind(parts[0]); kind {
	case KindVCEK:
		return parseVCEKKey(p, parts[2:])
	case KindChain, KindCRL:
		return signerKey(kind, p, signerNamed(parts[2]))
	}
	return Key{}, fmt.Errorf("unknown kind %.20q", parts[0])
}

func parseVCEKKey(p snp.Product, parts []string) (Key, error) {
	if len(parts) != 2 {
		return Key{}, errors.New("want vcek-PRODUCT-CHIP-TCB.der")
	}
	id, err := hex.DecodeString(parts[0])
	if err != nil || len(id) != p.HardwareIDSize() {
		return Key{}, fmt.Errorf("want %d bytes of hardware ID in hexadecimal", p.HardwareIDSize())
	}
	raw, err := hex.DecodeString(parts[1])
	if err != nil || len(raw) != snp.TCBSize {
		return Key{}, fmt.Errorf("want %d bytes of TCB version in hexadecimal", snp.TCBSize)
	}
	tcb, err := snp.ParseTCB(p, [snp.TCBSize]byte(raw))
	if err != nil {
		return Key{}, err
	}
	var chipID [snp.ChipIDSize]byte
	copy(chipID[:], id)
	return VCEKKey(p, chipID, tcb)
}

// signerNamed reverses the lower case name of a signing key. What it does not
// know, it returns as a signing key that does not exist.
func signerNamed(name string) snp.SigningKey {
	for _, s := range []snp.SigningKey{snp.SignedByVCEK, snp.SignedByVLEK} {
		if name == strings.ToLower(s.String()) {
			return s
		}
	}
	return 0xFF
}
