package embed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// incoming is the bundle that is embedded. It is read twice: to check it, and to
// write it to where it belongs.
type incoming struct {
	trust bundle.Trust
	read  func() (io.ReadCloser, error) // from its start
	close func() error                  // what open has taken

	files    map[string]int64         // sizes by name
	manifest map[string]*bytes.Buffer // the manifest and its signature
}

// open looks where the bundle comes from.
func (o *Options) open() (*incoming, error) {
	if o.Reader == nil {
		release, err := stagedRelease(o.Staging)
		if err != nil {
			return nil, err
		}
		read := func() (io.ReadCloser, error) {
			r, w := io.Pipe()
			go func() { w.CloseWithError(bundle.WriteUnsigned(w, *release)) }()
			return r, nil
		}
		return &incoming{trust: bundle.Trust{Unsigned: true}, read: read, close: func() error { return nil }}, nil
	}
	in := &incoming{trust: o.Trust, close: func() error { return nil }}
	seeker, ok := o.Reader.(io.ReadSeeker)
	if ok {
		_, err := seeker.Seek(0, io.SeekStart)
		ok = err == nil // a pipe cannot
	}
	if !ok {
		f, err := spool(o.Reader)
		if err != nil {
			return nil, fmt.Errorf("keep bundle: %w", err)
		}
		seeker, in.close = f, f.Close
	}
	in.read = func() (io.ReadCloser, error) {
		_, err := seeker.Seek(0, io.SeekStart)
		return io.NopCloser(seeker), err
	}
	return in, nil
}

// spool keeps what can be read but once.
func spool(r io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "snpguard-embed-")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// check reads the bundle for the first time.
func (in *incoming) check() error {
	in.files, in.manifest = map[string]int64{}, map[string]*bytes.Buffer{}
	return in.copyTo(func(f bundle.ManifestEntry) (io.WriteCloser, error) {
		in.files[f.Name] = f.Size
		if f.Name == bundle.NameManifest || f.Name == bundle.NameSignature {
			in.manifest[f.Name] = &bytes.Buffer{}
			return sink{in.manifest[f.Name]}, nil
		}
		return sink{io.Discard}, nil
	})
}

// sink is a file that is not one.
type sink struct{ io.Writer }

func (sink) Close() error { return nil }

// isIn reports whether a slot holds the same bundle. One that cannot be read does not.
func (in *incoming) isIn(s *Slot) (bool, error) {
	if !maps.Equal(s.files, in.files) {
		return false, nil
	}
	for name, want := range in.manifest {
		if got, err := s.small(name, int64(want.Len())); err != nil || !bytes.Equal(got, want.Bytes()) {
			return false, unlessDamaged(err)
		}
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.WriteTar(w, in.trust)) }()
	_, err := in.trust.Verify(r)
	r.CloseWithError(err)
	return err == nil, unlessDamaged(err)
}

// unlessDamaged keeps errors of reading the disk alone.
func unlessDamaged(err error) error {
	if errors.Is(err, ErrArtifacts) || errors.Is(err, bundle.ErrBundle) || errors.Is(err, bundle.ErrSignature) {
		return nil
	}
	return err
}

// errChanged is a bundle that changed while it was embedded.
var errChanged = fmt.Errorf("%w: it is not what it was when it was checked", bundle.ErrBundle)

// copyTo reads and checks the bundle, of which each file is created.
func (in *incoming) copyTo(create func(bundle.ManifestEntry) (io.WriteCloser, error)) error {
	r, err := in.read()
	if err != nil {
		return err
	}
	m, err := in.trust.Copy(r, create)
	if err == nil && len(m.Files)+len(in.manifest) != len(in.files) {
		err = errChanged
	}
	return errors.Join(err, r.Close())
}
