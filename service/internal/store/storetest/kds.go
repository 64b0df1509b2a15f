package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

func kdsTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){"KDS cache rows": testKDSRows}
}

// Rows that cannot be entries are damaged, or not entries at all.
func testKDSRows(t *testing.T, d Database) {
	cache := d.Open(t).KDSCache()
	key, err := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Put(t.Context(), key, kds.Entry{Data: []byte("x"), FetchedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"empty": {}, "too large": make([]byte, key.MaxSize()+1)} {
		d.exec(t, q(`UPDATE kds_cache SET content = $1`, content)...)
		if _, err := cache.Get(t.Context(), key); !errors.Is(err, kds.ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	d.exec(t, q(`UPDATE kds_cache SET name = 'notes.txt'`)...)
	if listed, err := cache.List(t.Context()); err != nil || len(listed) != 0 {
		t.Errorf("got %v, %v", listed, err)
	}
}
