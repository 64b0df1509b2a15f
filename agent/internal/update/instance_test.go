package update_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/update"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestInstanceSigns has the calls of an instance signed by its boot key, and no others.
func TestInstanceSigns(t *testing.T) {
	w := newWorld(t)
	must(t, w.guest().Update(t.Context(), update.Options{}))
	w.instance = wire.NewUUID()
	w.runs(w.running)
	must(t, status.LeaveBootKey(w.root, w.bootKey))
	must(t, w.guest().Update(t.Context(), update.Options{}))
	must(t, w.guest().Confirm(t.Context()))
	if !slices.Equal(w.signed, []bool{false, true, true}) {
		t.Errorf("signed: %v", w.signed)
	}
}

// TestNoBootKey makes no call without the key, and does not show what is there instead.
func TestNoBootKey(t *testing.T) {
	w := newWorld(t)
	w.instance = wire.NewUUID()
	w.runs(w.running)
	path := filepath.Join(w.root, bootconf.PathBootKey)
	for _, text := range []string{"", "secret", strings.Repeat("0", 62) + "\n", strings.Repeat("0", 66) + "\n", strings.Repeat("g", 64)} {
		if text != "" {
			must(t, os.WriteFile(path, []byte(text), 0o600))
		}
		if err := w.guest().Update(t.Context(), update.Options{}); err == nil || !strings.Contains(err.Error(), "boot key") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if len(w.asked) != 0 {
		t.Errorf("asked %d times", len(w.asked))
	}
}
