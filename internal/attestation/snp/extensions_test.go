package snp_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func sevArc(arcs ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, arcs...)
}

// vcekExtensions are those of a chip.
func vcekExtensions(tb testing.TB) []pkix.Extension {
	tb.Helper()
	e := snp.Extensions{ProductName: "Milan-B0", Product: snp.Milan, TCB: snp.TCB{SNP: 8}, HardwareID: make([]byte, 64)}
	list, err := e.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// TestExtensionsAreTakenWhole changes one extension of a certificate that is
// right.
func TestExtensionsAreTakenWhole(t *testing.T) {
	if _, err := snp.ParseExtensions(&x509.Certificate{Extensions: vcekExtensions(t)}); err != nil {
		t.Fatal(err)
	}
	change := func(value string, arcs ...int) func([]pkix.Extension) []pkix.Extension {
		return func(list []pkix.Extension) []pkix.Extension {
			for i := range list {
				if list[i].Id.Equal(sevArc(arcs...)) {
					list[i].Value = []byte(value)
				}
			}
			return list
		}
	}
	add := func(value string, arcs ...int) func([]pkix.Extension) []pkix.Extension {
		return func(list []pkix.Extension) []pkix.Extension {
			return append(list, pkix.Extension{Id: sevArc(arcs...), Value: []byte(value)})
		}
	}
	for name, wrong := range map[string]func([]pkix.Extension) []pkix.Extension{
		"none":                   func([]pkix.Extension) []pkix.Extension { return nil },
		"one is missing":         func(list []pkix.Extension) []pkix.Extension { return list[1:] },
		"one twice":              add("\x02\x01\x08", 3, 3),
		"one that is not known":  add("\x02\x01\x00", 6),
		"number of two bytes":    change("\x02\x02\x01\x00", 3, 3),
		"number below zero":      change("\x02\x01\xff", 3, 3),
		"number with a tail":     change("\x02\x01\x08\x00", 3, 3),
		"number that is text":    change("\x16\x01\x38", 3, 3),
		"reserved level":         change("\x02\x01\x01", 3, 5),
		"level of another line":  add("\x02\x01\x01", 3, 9),
		"product that is unsure": change("\x16\x05Siena", 2),
		"product in UTF-8":       change("\x0c\x08Milan-B0", 2),
		"product of no bytes":    change("", 2),
		"short hardware ID":      change("12345678", 4),
		"wrapped, of 8 bytes":    change("\x04\x0812345678", 4),
		"chip and provider":      add("\x16\x01a", 5),
	} {
		if e, err := snp.ParseExtensions(&x509.Certificate{Extensions: wrong(vcekExtensions(t))}); !errors.Is(err, snp.ErrExtensions) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for name, provider := range map[string]string{"empty": "\x16\x00", "no text": "\x02\x01\x01"} {
		list := vcekExtensions(t)
		list[len(list)-1] = pkix.Extension{Id: sevArc(5), Value: []byte(provider)}
		if _, err := snp.ParseExtensions(&x509.Certificate{Extensions: list}); !errors.Is(err, snp.ErrExtensions) {
			t.Errorf("provider is %s: %v", name, err)
		}
	}
}

// FuzzParseExtensions puts other bytes into one extension. What is taken says
// the same when it is written and read again.
func FuzzParseExtensions(f *testing.F) {
	for i, e := range vcekExtensions(f) {
		f.Add(uint8(i), e.Value, false)
	}
	f.Add(uint8(0), []byte("\x16\x03csp"), true)
	f.Fuzz(func(t *testing.T, which uint8, value []byte, provider bool) {
		list := vcekExtensions(t)
		if provider {
			list[len(list)-1].Id = sevArc(5)
		}
		list[int(which)%len(list)].Value = value
		e, err := snp.ParseExtensions(&x509.Certificate{Extensions: list})
		if err != nil {
			if !errors.Is(err, snp.ErrExtensions) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		written, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := snp.ParseExtensions(&x509.Certificate{Extensions: written}); err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}
