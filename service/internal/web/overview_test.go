package web

import (
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestCacheInWords says what the cache has, before a chip came and after.
func TestCacheInWords(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	says := func(want string) {
		t.Helper()
		_, page, _ := strings.Cut(w.get("/").Body.String(), "<dt>Cache</dt><dd>")
		if got, _, _ := strings.Cut(page, "</dd>"); !strings.HasPrefix(got, want) {
			t.Errorf("the overview says %q, want %q", got, want)
		}
	}
	put := func(key kds.Key, err error) {
		t.Helper()
		must(t, err)
		must(t, w.store.KDSCache().Put(t.Context(), key, kds.Entry{Data: []byte("x"), FetchedAt: time.Now()}))
	}
	says("empty")
	put(kds.CRLKey(snp.Milan, snp.SignedByVCEK))
	says("no chip’s certificates yet; last download <time")
	put(kds.ChainKey(snp.Milan, snp.SignedByVCEK))
	put(kds.VCEKKey(snp.Milan, [snp.ChipIDSize]byte{1}, snp.TCB{}))
	says("certificates of 1 chip, 1 chain; last download <time")
}
