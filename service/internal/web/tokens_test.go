package web

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestTokenList pages and sorts the tokens as the list of images does.
func TestTokenList(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	const total = store.DefaultPage + 3
	for i := range total {
		token := store.Token{ID: wire.NewUUID(), Name: "ci", Role: string(wire.RoleRead), Hash: [32]byte{1, byte(i), byte(i >> 8)}, ExpiresAt: time.Now().Add(time.Hour)}
		if i == 0 {
			token.Name = "Alpha"
		}
		_, err := w.store.CreateToken(t.Context(), token)
		must(t, err)
	}
	first := w.get("/tokens?sort=name").Body.String()
	if !strings.Contains(first, "1 to 50 of 53") || strings.Index(first, "<bdi>Alpha</bdi>") > strings.Index(first, "<bdi>ci</bdi>") {
		t.Errorf("first page: %s", first)
	}
	next := links(first, "Next")
	if !slices.Equal(next, []string{"/tokens?page=2&sort=name"}) || !slices.Equal(links(first, "Name"), []string{"/tokens?sort=name-desc"}) ||
		!slices.Equal(links(first, "Made"), []string{"/tokens?sort=newest"}) || !strings.Contains(first, `aria-sort="ascending"`) {
		t.Fatalf("links: %q, %q, %q", next, links(first, "Name"), links(first, "Made"))
	}
	last := w.get(next[0]).Body.String()
	if !strings.Contains(last, "51 to 53 of 53") || strings.Count(last, "<bdi>ci</bdi>") != 3 || !slices.Equal(links(last, "Previous"), []string{"/tokens?sort=name"}) {
		t.Errorf("last page: %s", last)
	}
	if got := w.get("/tokens?page=x"); got.Code != http.StatusBadRequest {
		t.Errorf("page x: status %d", got.Code)
	}
}
