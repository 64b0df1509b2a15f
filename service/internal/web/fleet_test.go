package web

import (
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestWaitingKernels shows which kernels guests have installed without a release.
func TestWaitingKernels(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	image, release, err := w.store.CreateImage(t.Context(), storetest.Image("fleet"), storetest.Release("f", "k", "i"), storetest.Present)
	must(t, err)
	path := "/images/" + image.ID.String()
	if page := w.get(path).Body.String(); strings.Contains(page, "Waiting for a release") || strings.Contains(page, ">Guests<") {
		t.Error("guests that there are not")
	}
	for machine := byte(1); machine <= 3; machine++ {
		v := storetest.Sighting(image.ID, release.ID, machine, store.MachineKernel{Release: "6.13<b>", SHA256: [32]byte{0xAB}, Newer: true})
		v.Nonce.Expires = time.Now().AddDate(100, 0, 0)
		_, err := w.store.RecordSighting(t.Context(), v)
		must(t, err)
	}
	page := w.get(path).Body.String()
	for _, want := range []string{"Waiting for a release", "<bdi>6.13&lt;b&gt;</bdi></th><td>3</td>", "ab000000", release.ID.String() + "</code></a></th><td>3</td><td>0</td>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
}
