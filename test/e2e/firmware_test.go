//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// TestFirmwareChecksKernel boots through the real AmdSev build of OVMF, which
// compares kernel, initrd and command line with the measured hashes itself.
func TestFirmwareChecksKernel(t *testing.T) {
	c := small(t, "debian")
	path := registered(t, "small", c)
	t.Run("as registered", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, c, path)
		h.firmware = launch.FirmwareAmdSev
		expect(t, h.boot(t), `snpguard: .* unlock: key released`, untilAgent)
	})
	t.Run("changed initrd", func(t *testing.T) {
		t.Parallel()
		h := newHost(t, c, path)
		h.firmware, h.force = launch.FirmwareAmdSev, true
		pad(t, h.guest.Initrd)
		stuck(t, h)
		neverAsked(t, h)
	})
}

// stuck boots and wants the firmware to stop for good without a word.
func stuck(t *testing.T, h *host) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "qmp")
	h.extra = append(h.extra, vm.QMPArgs(socket)...)
	v := h.boot(t)
	q, err := vm.DialQMP(context.Background(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close() //nolint:errcheck // the machine goes with it
	if err := q.DeadLoop(untilAgent); err != nil {
		t.Error(err)
	}
	if strings.Contains(v.Log(), "Linux version") {
		t.Error("the kernel was started")
	}
}
