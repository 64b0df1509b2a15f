package boot

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// TestHandOver leaves nothing but the status and what init goes on with.
func TestHandOver(t *testing.T) {
	for fails, want := range map[string]string{
		"exec /init":    "down eth0, unmount /sys, unmount /proc, unmount /dev, exec /init",
		"unmount /proc": "down eth0, unmount /sys, unmount /proc, unmount /dev",
		"down eth0":     "down eth0",
	} {
		synctest.Test(t, func(t *testing.T) {
			c, b := unlocked(t)
			b.config.Network = bootconf.Network{Mode: bootconf.ModeStatic, Addresses: []string{"10.0.2.15/24"}}
			if err := errors.Join(b.mountBase(t.Context()), b.networkUp(t.Context())); err != nil {
				t.Fatal(err)
			}
			c.asked()
			c.fail[fails] = refused
			if err := b.handOver(t.Context()); !errors.Is(err, refused) || c.asked() != want {
				t.Errorf("%s: %v, asked %s", fails, err, c.did)
			}
			s, err := status.Read(filepath.Join(c.dir, status.Path))
			if fails == "down eth0" {
				return
			}
			if err != nil || s.Service != "https://a" || s.Interface != "eth0" || s.Provider != "configfs-tsm" || s.Root.Partition != "vda1" || s.Fields == nil {
				t.Errorf("%s: %v, status %+v", fails, err, s)
			}
		})
	}
}
