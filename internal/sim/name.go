package sim

import (
	"crypto/x509/pkix"
	"encoding/asn1"
)

// amdName returns the DER of a distinguished name as AMD writes them: the same
// attributes in the same order and string types, only the common name differs.
func amdName(commonName string) []byte {
	utf8 := func(s string) asn1.RawValue {
		return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}
	}
	attributes := []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: utf8("Engineering")},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "US"}, // a PrintableString
		{Type: asn1.ObjectIdentifier{2, 5, 4, 7}, Value: utf8("Santa Clara")},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 8}, Value: utf8("CA")},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: utf8("Advanced Micro Devices")},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: utf8(commonName)},
	}
	var name pkix.RDNSequence
	for _, a := range attributes {
		name = append(name, pkix.RelativeDistinguishedNameSET{a})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		panic(err) // cannot happen: nothing in it varies but a string
	}
	return der
}
