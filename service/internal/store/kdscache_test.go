package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func TestKDSCacheFull(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(s)
	cache := s.KDSCache()
	cache.max = 2
	put := func(n byte) error {
		key, err := kds.VCEKKey(snp.Milan, [snp.ChipIDSize]byte{n}, snp.TCB{})
		if err != nil {
			t.Fatal(err)
		}
		return cache.Put(t.Context(), key, kds.Entry{Data: []byte("x"), FetchedAt: time.Now()})
	}
	if err := errors.Join(put(1), put(2), put(1)); err != nil {
		t.Fatal(err)
	}
	if err := put(3); !errors.Is(err, kds.ErrCacheFull) {
		t.Errorf("got %v", err)
	}
	if err := put(2); err != nil {
		t.Errorf("replace in a full cache: %v", err)
	}
}
