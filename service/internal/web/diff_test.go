package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestDiff compares a release that was added with the one in force, word by word.
func TestDiff(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, first := w.image("payments")
	other, _ := w.image("other")
	further := storetest.Release("f", "another kernel", "i")
	further.Cmdline = "root=/dev/mapper/cryptroot <script>"
	further, err := w.store.AddRelease(t.Context(), image.ID, further, storetest.Present)
	must(t, err)
	path := "/images/" + image.ID.String() + "/releases/" + further.ID.String() + "/diff"
	for _, query := range []string{"", "?with=" + first.ID.String()} {
		got := w.get(path + query)
		if page := got.Body.String(); got.Code != http.StatusOK || !strings.Contains(page, "&lt;script&gt;") || strings.Contains(page, "<script>") ||
			!strings.Contains(page, "vmlinuz") || strings.Contains(page, "initrd.img") {
			t.Errorf("%s: status %d, %s", query, got.Code, page)
		}
	}
	for _, wrong := range []string{path + "?with=x", path + "?with=" + wire.NewUUID().String(), strings.Replace(path, image.ID.String(), other.ID.String(), 1)} {
		if got := w.get(wrong); got.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", wrong, got.Code)
		}
	}
}
