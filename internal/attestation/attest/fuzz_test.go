package attest_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
)

func FuzzParsePolicy(f *testing.F) {
	for _, tc := range policyCases() {
		if len(tc.document) < 4096 {
			f.Add([]byte(tc.document))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := attest.ParsePolicy(data)
		if err != nil {
			return
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := attest.ParsePolicy(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if !reflect.DeepEqual(attest.Evaluate(sample(), again), attest.Evaluate(sample(), p)) {
			t.Errorf("%s judges otherwise than %s", written, data)
		}
	})
}

func FuzzParseCertificates(f *testing.F) {
	f.Add(der(f, "certs/vlek-milan-1667eb6108.der"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := attest.ParseCertificates(data)
		if (err == nil) != (len(certs) > 0) {
			t.Errorf("%d certificates, %v", len(certs), err)
		}
	})
}
