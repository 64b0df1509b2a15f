package kds

import (
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

func TestFileCacheFull(t *testing.T) {
	cache, err := OpenFileCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cache.max = 2
	put := func(n byte) error {
		key, err := VCEKKey(snp.Milan, [64]byte{n}, snp.TCB{})
		if err != nil {
			t.Fatal(err)
		}
		return cache.Put(t.Context(), key, Entry{Data: []byte("x"), FetchedAt: time.Now()})
	}
	if err := errors.Join(put(1), put(2), put(1)); err != nil {
		t.Fatal(err)
	}
	if err := put(3); !errors.Is(err, ErrCacheFull) {
		t.Errorf("got %v, want %v", err, ErrCacheFull)
	}
	if err := put(2); err != nil {
		t.Errorf("replace in a full cache: %v", err)
	}
}
