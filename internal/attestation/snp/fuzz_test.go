package snp_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

func FuzzParseReport(f *testing.F) {
	for _, name := range []string{
		"milan-v2-vlek-affb92f91b", "milan-v3-vcek-05b7438a3d", "turin-v5-vcek-56b3ee5497", "unknown-v1-vcek-13038f2284",
	} {
		f.Add(vectors.MustRead(f, "reports/"+name+".bin"))
	}
	for _, version := range []byte{4, 6} {
		data := vectors.MustRead(f, reportV5)
		data[0], data[0x208] = version, 1
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := snp.ParseReport(data)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Bytes(), data) {
			t.Error("report does not hold its own bytes")
		}
		if r.Version <= 5 && r.HasAdditions() {
			t.Error("a known version has fields that are not known")
		}
		for _, p := range snp.Products() {
			tcb, err := snp.ParseTCB(p, r.ReportedTCB)
			if err == nil && tcb.Bytes(p) != r.ReportedTCB {
				t.Errorf("TCB version %x encodes to %x", r.ReportedTCB, tcb.Bytes(p))
			}
		}
	})
}

func FuzzParseCertTable(f *testing.F) {
	genuine := snp.CertTable{
		VLEK: vectors.MustRead(f, "reports/certs/vlek-milan-1667eb6108.der"),
		ASK:  vectors.MustRead(f, "reports/chains/SEV-VLEK-Milan.pem"),
	}
	f.Add(genuine.Bytes())
	f.Add(end())
	f.Add(join(entry(vcekGUID, 72, 2), entry(askGUID, 74, 1), end(), []byte("abc")))
	f.Add(join(entry(crlGUID, 49, 1), end(), []byte("..")))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := snp.ParseCertTable(data)
		if err != nil {
			return
		}
		again, err := snp.ParseCertTable(table.Bytes())
		if err != nil || !reflect.DeepEqual(again, table) {
			t.Errorf("encoded and decoded: %+v, %v, want %+v", again, err, table)
		}
	})
}
