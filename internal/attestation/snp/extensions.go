package snp

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
)

// ErrExtensions is a certificate whose SEV extensions are missing, repeated or
// malformed.
var ErrExtensions = errors.New("malformed SEV certificate extensions")

// Extensions are what AMD certifies about the key of a VCEK or VLEK certificate
// (57230 rev. 1.00, tables 8 to 11).
type Extensions struct {
	StructVersion uint8
	ProductName   string  // such as "Milan-B0"
	Product       Product // the product line
	TCB           TCB
	HardwareID    []byte // of a VCEK, Product.HardwareIDSize bytes; nil in a VLEK
	CSPID         string // of a VLEK; empty in a VCEK
}

// The last arcs of the extensions, below 1.3.6.1.4.1.3704.1 (57230 rev. 1.00,
// table 8; FMC from the certificates of Turin).
const (
	arcStructVersion = "1"
	arcProductName   = "2"
	arcBootLoader    = "3.1"
	arcTEE           = "3.2"
	arcSNP           = "3.3"
	arcSPL4          = "3.4"
	arcSPL5          = "3.5"
	arcSPL6          = "3.6"
	arcSPL7          = "3.7"
	arcMicrocode     = "3.8"
	arcFMC           = "3.9"
	arcHardwareID    = "4"
	arcCSPID         = "5"

	arcsBelow = "1.3.6.1.4.1.3704.1."
)

// ParseExtensions reads the SEV extensions of a VCEK or VLEK certificate. Each
// must occur once; a VCEK names a chip, a VLEK a cloud service provider, never
// both. The error wraps ErrExtensions.
func ParseExtensions(cert *x509.Certificate) (*Extensions, error) {
	values, err := extensionValues(cert.Extensions)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExtensions, err)
	}
	e, err := values.parse()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExtensions, err)
	}
	return e, nil
}

// arcValues maps last arcs to the DER of their extensions. Parsing takes out
// what it reads.
type arcValues map[string][]byte

func extensionValues(extensions []pkix.Extension) (arcValues, error) {
	values := make(arcValues)
	for _, x := range extensions {
		arc, ok := strings.CutPrefix(x.Id.String(), arcsBelow)
		if !ok {
			continue
		}
		if _, seen := values[arc]; seen {
			return nil, fmt.Errorf("extension %s occurs twice", x.Id)
		}
		values[arc] = x.Value
	}
	return values, nil
}

func (v arcValues) parse() (*Extensions, error) {
	e := &Extensions{}
	var err error
	if e.ProductName, err = v.text(arcProductName); err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(e.ProductName, "-")
	if e.Product, err = ParseProduct(line); err != nil {
		return nil, err
	}
	if err := v.parseLevels(e); err != nil {
		return nil, err
	}
	if err := v.parseSubject(e); err != nil {
		return nil, err
	}
	for arc := range v {
		return nil, fmt.Errorf("extension %s%s is not known", arcsBelow, arc)
	}
	return e, nil
}

// parseLevels reads the security patch levels. Those without a meaning on the
// product line must be zero.
func (v arcValues) parseLevels(e *Extensions) error {
	levels := map[string]*uint8{
		arcStructVersion: &e.StructVersion,
		arcBootLoader:    &e.TCB.BootLoader,
		arcTEE:           &e.TCB.TEE,
		arcSNP:           &e.TCB.SNP,
		arcMicrocode:     &e.TCB.Microcode,
	}
	unused := []string{arcSPL4, arcSPL5, arcSPL6, arcSPL7}
	if e.Product == Turin {
		levels[arcFMC] = &e.TCB.FMC
		unused = []string{arcSPL5, arcSPL6, arcSPL7}
	}
	for arc, out := range levels {
		var err error
		if *out, err = v.number(arc); err != nil {
			return err
		}
	}
	for _, arc := range unused {
		n, err := v.number(arc)
		if err != nil {
			return err
		}
		if n != 0 {
			return fmt.Errorf("extension %s%s is %d, want 0", arcsBelow, arc, n)
		}
	}
	return nil
}

// parseSubject reads what the key belongs to: a chip or a provider.
func (v arcValues) parseSubject(e *Extensions) error {
	_, hasChip := v[arcHardwareID]
	_, hasProvider := v[arcCSPID]
	if hasChip == hasProvider {
		return errors.New("want either a hardware ID or a CSP ID")
	}
	if hasProvider {
		var err error
		e.CSPID, err = v.text(arcCSPID)
		if err == nil && e.CSPID == "" {
			err = errors.New("CSP ID is empty")
		}
		return err
	}
	value, size := v[arcHardwareID], e.Product.HardwareIDSize()
	delete(v, arcHardwareID)
	// KDS writes the bare bytes; some certificates have an OCTET STRING.
	if len(value) != size {
		if rest, err := asn1.Unmarshal(value, &value); err != nil || len(rest) > 0 {
			return errors.New("hardware ID is malformed")
		}
	}
	if len(value) != size {
		return fmt.Errorf("hardware ID has %d bytes, want %d on %s", len(value), size, e.Product)
	}
	e.HardwareID = value
	return nil
}

// number takes out an INTEGER from 0 to 255.
func (v arcValues) number(arc string) (uint8, error) {
	der, ok := v[arc]
	if !ok {
		return 0, fmt.Errorf("extension %s%s is missing", arcsBelow, arc)
	}
	delete(v, arc)
	var n int
	rest, err := asn1.Unmarshal(der, &n)
	if err != nil || len(rest) > 0 || n < 0 || n > 255 {
		return 0, fmt.Errorf("extension %s%s is not a number from 0 to 255", arcsBelow, arc)
	}
	return uint8(n), nil
}

// text takes out an IA5String.
func (v arcValues) text(arc string) (string, error) {
	der, ok := v[arc]
	if !ok {
		return "", fmt.Errorf("extension %s%s is missing", arcsBelow, arc)
	}
	delete(v, arc)
	var s string
	rest, err := asn1.UnmarshalWithParams(der, &s, "ia5")
	if err != nil || len(rest) > 0 || der[0] != asn1.TagIA5String {
		return "", fmt.Errorf("extension %s%s is not an IA5 string", arcsBelow, arc)
	}
	return s, nil
}

// Marshal returns the extensions as a certificate carries them. A simulated AMD
// needs it.
func (e *Extensions) Marshal() ([]pkix.Extension, error) {
	numbers := []struct {
		arcs  []int
		value uint8
	}{
		{[]int{1}, e.StructVersion},
		{[]int{3, 1}, e.TCB.BootLoader},
		{[]int{3, 2}, e.TCB.TEE},
		{[]int{3, 3}, e.TCB.SNP},
		{[]int{3, 5}, 0},
		{[]int{3, 6}, 0},
		{[]int{3, 7}, 0},
		{[]int{3, 8}, e.TCB.Microcode},
		{[]int{3, 4}, 0},
	}
	if e.Product == Turin {
		numbers[len(numbers)-1].arcs, numbers[len(numbers)-1].value = []int{3, 9}, e.TCB.FMC
	}
	var out []pkix.Extension
	add := func(arcs []int, der []byte) {
		out = append(out, pkix.Extension{Id: append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, arcs...), Value: der})
	}
	for _, n := range numbers {
		der, err := asn1.Marshal(int(n.value))
		if err != nil {
			return nil, err
		}
		add(n.arcs, der)
	}
	name, err := asn1.MarshalWithParams(e.ProductName, "ia5")
	if err != nil {
		return nil, err
	}
	add([]int{2}, name)
	if e.CSPID == "" {
		add([]int{4}, e.HardwareID)
		return out, nil
	}
	provider, err := asn1.MarshalWithParams(e.CSPID, "ia5")
	if err != nil {
		return nil, err
	}
	add([]int{5}, provider)
	return out, nil
}
