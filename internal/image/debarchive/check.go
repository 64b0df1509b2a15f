package debarchive

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Index is the files of an archive that say what is in it.
type Index struct {
	Keyring   []byte
	InRelease []byte
	Packages  []func() (io.ReadCloser, error) // opens each Packages file
	MaxAge    time.Duration
}

// Check wants every package to be in the archive, and says which archive it is. The
// error wraps ErrSignature, ErrStale, ErrIndex or ErrUnlisted.
func (x *Index) Check(packages []linuxpkg.Package, now time.Time) (*wire.ProvenanceArchive, error) {
	keyring, err := ParseKeyring(x.Keyring)
	if err != nil {
		return nil, err
	}
	r, err := ReadRelease(x.InRelease, keyring, now)
	if err != nil {
		return nil, err
	}
	if err := r.CheckAge(now, x.MaxAge); err != nil {
		return nil, err
	}
	var found []linuxpkg.Package
	for _, open := range x.Packages {
		some, err := r.findIn(open, packages)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	for _, p := range packages {
		if !slices.Contains(found, p) {
			return nil, fmt.Errorf("%w: %s %s for %s with the SHA-256 %s", ErrUnlisted, p.Name, p.Version, p.Architecture, p.SHA256)
		}
	}
	return &wire.ProvenanceArchive{Origin: r.Origin, Suite: r.Suite, SignedBy: r.SignedBy, Date: r.Date}, nil
}

func (r *Release) findIn(open func() (io.ReadCloser, error), packages []linuxpkg.Package) ([]linuxpkg.Package, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return r.Find(f, packages)
}
