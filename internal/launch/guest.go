package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// ErrGuest is a bundle whose parts do not fit together.
var ErrGuest = errors.New("cannot launch this bundle")

// ErrVariant is a variant that a bundle does not have.
var ErrVariant = errors.New("no such variant")

// maxCmdlineSize is the longest command line in bytes that Linux takes on x86
// (COMMAND_LINE_SIZE, with its NUL).
const maxCmdlineSize = 2047

// Guest is what a bundle says about one variant of a release.
type Guest struct {
	Name      string // of the image, for people; it may hold anything
	Firmware  string // paths of files
	Kernel    string
	Initrd    string
	Cmdline   string
	VCPUs     measure.VCPUs
	Policy    idblock.GuestPolicy
	IDBlock   []byte // nil, as IDAuth, where nobody has signed the bundle
	IDAuth    []byte
	AuthorKey bool // the ID authentication information has an author key
	Simulated bool // registered with a simulated AMD
}

// Load reads a variant of a bundle that was extracted to dir with this manifest;
// the empty name is the default variant. The error wraps ErrVariant or ErrGuest,
// or is one of reading a file.
func Load(dir string, m *bundle.Manifest, variant string) (*Guest, error) {
	for i, v := range m.Variants {
		if variant != "" && v.Name() != variant {
			continue
		}
		g := &Guest{
			Name: m.ImageName, Simulated: m.Simulated,
			Firmware: filepath.Join(dir, bundle.NameFirmware),
			Kernel:   filepath.Join(dir, bundle.NameKernel),
			Initrd:   filepath.Join(dir, bundle.NameInitrd),
		}
		if err := g.load(dir, m, i); err != nil {
			return nil, err
		}
		return g, nil
	}
	var names []string
	for _, v := range m.Variants {
		names = append(names, v.Name())
	}
	return nil, fmt.Errorf("%w: %q; the bundle has %s", ErrVariant, variant, strings.Join(names, ", "))
}

func (g *Guest) load(dir string, m *bundle.Manifest, i int) error {
	v := m.Variants[i]
	vcpuType, err := measure.ParseVCPUType(v.VCPUType)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGuest, err)
	}
	if v.VCPUs < 1 || v.VCPUs > measure.MaxVCPUs {
		return fmt.Errorf("%w: %d vCPUs, want 1 to %d", ErrGuest, v.VCPUs, measure.MaxVCPUs)
	}
	g.VCPUs = measure.VCPUs{Count: v.VCPUs, Type: vcpuType}
	if g.Policy, err = idblock.ParseGuestPolicy(v.Policy); err != nil {
		return fmt.Errorf("%w: %w", ErrGuest, err)
	}
	cmdline, err := readSmall(filepath.Join(dir, bundle.NameCmdline), maxCmdlineSize)
	if err != nil {
		return err
	}
	g.Cmdline = string(cmdline)
	for _, c := range cmdline {
		if c < ' ' || c > '~' {
			return fmt.Errorf("%w: the command line has the byte %#02x, want printable ASCII", ErrGuest, c)
		}
	}
	if m.Unsigned {
		return nil
	}
	return g.loadIDBlock(dir, m, i)
}

// loadIDBlock reads the signed ID block of a variant.
func (g *Guest) loadIDBlock(dir string, m *bundle.Manifest, i int) (err error) {
	for _, f := range []struct {
		out  *[]byte
		name string
		size int64
	}{
		{&g.IDBlock, m.VariantFile(i, bundle.NameIDBlock), idblock.Size},
		{&g.IDAuth, m.VariantFile(i, bundle.NameIDAuth), idblock.AuthenticationSize},
	} {
		if *f.out, err = readSmall(filepath.Join(dir, f.name), f.size); err != nil {
			return err
		}
	}
	return g.check(m.Variants[i].Measurement)
}

// check wants the ID block to be the one of the variant: the AMD-SP would refuse
// it anyway, but says less about why.
func (g *Guest) check(measurement string) error {
	block, err := idblock.Parse(g.IDBlock)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGuest, err)
	}
	auth, err := idblock.ParseAuthentication(g.IDAuth)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGuest, err)
	}
	g.AuthorKey = auth.AuthorKey != nil
	digest, err := measure.ParseDigest(measurement)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrGuest, err)
	case digest != measure.Digest(block.LaunchDigest):
		return fmt.Errorf("%w: the ID block says launch digest %s, the manifest %s", ErrGuest, measure.Digest(block.LaunchDigest), digest)
	case block.Policy != g.Policy:
		return fmt.Errorf("%w: the ID block says guest policy %s, the manifest %s", ErrGuest, block.Policy, g.Policy)
	}
	if err := auth.Verify(block); err != nil {
		return fmt.Errorf("%w: %w", ErrGuest, err)
	}
	return nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%w: %s has more than %s", ErrGuest, filepath.Base(path), size.Text(limit))
	}
	return os.ReadFile(path)
}
