//go:build e2e

package e2e

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/asp"
)

// forgery is a launch that differs from the registered one. The guest boots all
// the same, so that the service has to notice.
type forgery struct {
	name    string
	change  func(t *testing.T, h *host)
	refusal error  // of the AMD-SP
	reason  string // of the service, when the launch is forced
}

func forgeries() []forgery {
	return []forgery{
		{"kernel", func(t *testing.T, h *host) { flip(t, h.guest.Kernel, kernelVersion(t, h.guest.Kernel)) }, asp.ErrBadMeasurement, "measurement"},
		{"initrd", func(t *testing.T, h *host) { pad(t, h.guest.Initrd) }, asp.ErrBadMeasurement, "measurement"},
		{"command line", func(_ *testing.T, h *host) {
			h.guest.Cmdline = strings.Replace(h.guest.Cmdline, "panic=1", "panic=2", 1)
		}, asp.ErrBadMeasurement, "measurement"},
		{"firmware", func(t *testing.T, h *host) { flip(t, h.guest.Firmware, 4096) }, asp.ErrBadMeasurement, "measurement"},
		{"ID block of another image", func(t *testing.T, h *host) {
			other := newHost(t, disabled(t), registeredDisabled(t))
			h.guest.IDBlock, h.guest.IDAuth = other.guest.IDBlock, other.guest.IDAuth
		}, asp.ErrBadMeasurement, "binding"},
		{"debug policy", func(_ *testing.T, h *host) { h.guest.Policy |= idblock.PolicyDebug }, asp.ErrPolicyFailure, "guest_policy"},
		// The image is registered without a policy.
		{"chip without any firmware level", func(_ *testing.T, h *host) { h.tcb = snp.TCB{} }, nil, "tcb_floors.reported"},
		// The report says no image then, so that the transcript is another one.
		{"no ID block", func(_ *testing.T, h *host) { h.guest.IDBlock, h.guest.IDAuth = nil, nil }, nil, "binding"},
	}
}

// kernelVersion finds the text of the kernel's version, which the boot protocol
// lets a loader show and which does nothing (Linux, Documentation/arch/x86/boot.rst).
func kernelVersion(t testing.TB, path string) int64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return int64(data[0x20E]) | int64(data[0x20F])<<8 + 0x200
}

// TestForgedLaunchIsRefused has the simulated AMD-SP look at each forgery, and
// then forces the launch: the service denies the key, and the guest powers off.
func TestForgedLaunchIsRefused(t *testing.T) {
	c := small(t, "debian")
	path := registered(t, "small", c)
	registeredDisabled(t)
	for _, f := range forgeries() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, c, path)
			f.change(t, h)
			if err := h.present(t); !errors.Is(err, f.refusal) {
				t.Fatalf("the AMD-SP answers %v, want %v", err, f.refusal)
			}
			h.force = true
			v := h.boot(t)
			poweredOff(t, v, `unlock: .*denied by the service \(request ([0-9a-f-]+)\)`)
			denied(t, h, f.reason)
		})
	}
}
