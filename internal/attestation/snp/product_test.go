package snp_test

import (
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// TestProductsOfChips goes through families and models, at the ends of ranges.
func TestProductsOfChips(t *testing.T) {
	for _, tc := range []struct {
		family, model uint8
		want          snp.Product
		err           error
	}{
		{0x19, 0x00, snp.Milan, nil},
		{0x19, 0x0F, snp.Milan, nil},
		{0x19, 0x10, snp.Genoa, nil},
		{0x19, 0x1F, snp.Genoa, nil},
		{0x19, 0xA0, snp.Genoa, nil},
		{0x19, 0xAF, snp.Genoa, nil},
		{0x1A, 0x00, snp.Turin, nil},
		{0x1A, 0x1F, snp.Turin, nil},
		{0x1A, 0x50, "", snp.ErrVenice},
		{0x1A, 0x5F, "", snp.ErrVenice},
		{0x1A, 0xA0, "", snp.ErrVenice},
		{0x1A, 0x20, "", nil},
		{0x19, 0x20, "", nil},
		{0x17, 0x31, "", nil},
	} {
		got, err := snp.CPUID{Family: tc.family, Model: tc.model}.Product()
		if got != tc.want || (err == nil) != (tc.want != "") || tc.err != nil && !errors.Is(err, tc.err) {
			t.Errorf("family %#x model %#x: got %q, %v", tc.family, tc.model, got, err)
		}
	}
	if _, err := snp.ParseProduct("Venice"); !errors.Is(err, snp.ErrVenice) {
		t.Errorf("got %v", err)
	}
}
