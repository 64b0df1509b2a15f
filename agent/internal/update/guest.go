package update

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Slots are both slots of a partition; *slots.Partition is one.
type Slots interface {
	State() slots.State
	ReadFile(slot, name string, limit int64) ([]byte, error)
	Write(slot string, files FS) error
	Switch(slot string, trial bool) error
	Confirm() error
}

// Guest is the running guest.
type Guest struct {
	Root string // directory of the file system, "/" in production

	// Open opens the slots on the disk of the root. The error wraps artifacts.ErrNone
	// when it has none.
	Open func() (Slots, func() error, error)

	// Reboot restarts the machine, at once or at a time of day such as "04:30".
	Reboot func(ctx context.Context, at string) error

	Attest report.Attest
	Log    func(format string, args ...any)

	config  *bootconf.Config
	session *Session
	release wire.UUID // that runs
	machine wire.UUID
	boot    string // boot_id
	kernel  string // release of the kernel that runs
}

// load reads what this boot left.
func (g *Guest) load() error {
	s, err := status.Read(filepath.Join(g.Root, status.Path))
	if err != nil {
		return err
	}
	if s.Fields == nil {
		return fmt.Errorf("%s has no report", status.Path)
	}
	if g.release, err = wire.ParseUUID(s.Fields.ImageID); err != nil {
		return fmt.Errorf("release of this boot: %w", err)
	}
	encoded, err := readFile(filepath.Join(g.Root, bootconf.PathRunConfig))
	if err != nil {
		return fmt.Errorf("read the configuration of this boot: %w", err)
	}
	if g.config, err = bootconf.Parse(encoded); err != nil {
		return err
	}
	launch, err := launchOf(g.Attest, s.Fields)
	if err != nil {
		return err
	}
	var boot ed25519.PrivateKey
	if s.Instance != nil {
		if boot, err = status.ReadBootKey(g.Root); err != nil {
			return err
		}
	}
	if g.session, err = NewSession(g.config, launch, boot); err != nil {
		return err
	}
	return g.loadSystem()
}

func (g *Guest) loadSystem() error {
	for _, f := range []struct {
		path string
		out  *string
	}{{"proc/sys/kernel/osrelease", &g.kernel}, {"proc/sys/kernel/random/boot_id", &g.boot}} {
		content, err := readFile(filepath.Join(g.Root, f.path))
		if err != nil {
			return err
		}
		*f.out = strings.TrimSpace(string(content))
	}
	text, err := readFile(filepath.Join(g.Root, "etc/machine-id"))
	if err != nil {
		return err
	}
	id, err := wire.ParseMachineID(string(text))
	if err != nil {
		return fmt.Errorf("/etc/machine-id: %w", err)
	}
	g.machine = wire.MachineID(g.config.ImageID, id)
	return nil
}

// Sizes in bytes of what is read of a slot.
const (
	maxManifest  = 1 << 20
	maxSignature = 64
)

// slotRelease returns the release that a slot holds, as far as the service has signed
// it, or zero.
func (g *Guest) slotRelease(s Slots, slot string) wire.UUID {
	manifest, err := s.ReadFile(slot, bundle.NameManifest, maxManifest)
	if err != nil {
		return wire.UUID{}
	}
	signature, err := s.ReadFile(slot, bundle.NameSignature, maxSignature)
	if err != nil {
		return wire.UUID{}
	}
	m, err := bundle.ParseManifest(manifest, signature, g.session.caller.Identity)
	if err != nil || m.Image != g.config.ImageID {
		return wire.UUID{}
	}
	return m.Release
}
