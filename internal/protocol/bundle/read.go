package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Trust says which bundles are taken. The zero value takes none.
type Trust struct {
	Identity ed25519.PublicKey // that has to have signed
	Unsigned bool              // bundles that nobody signed, and no others
}

// Verify reads a whole bundle, tar or tar.gz, and returns its manifest when the
// signature and every file are right. The error wraps ErrSignature or ErrBundle.
func Verify(r io.Reader, identity ed25519.PublicKey) (*Manifest, error) {
	return Trust{Identity: identity}.Verify(r)
}

// Extract is Verify that also writes the files, the manifest and its signature
// included, below dir, which must be empty. On an error it may leave some of
// them there: extract into a directory of its own and rename that.
func Extract(r io.Reader, dir string, identity ed25519.PublicKey) (*Manifest, error) {
	return Trust{Identity: identity}.Extract(r, dir)
}

// Verify is the function Verify for whom is trusted here.
func (t Trust) Verify(r io.Reader) (*Manifest, error) {
	return t.Copy(r, func(ManifestEntry) (io.WriteCloser, error) { return discard{}, nil })
}

// Extract is the function Extract for whom is trusted here.
func (t Trust) Extract(r io.Reader, dir string) (*Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it that Close could lose
	return t.Copy(r, func(f ManifestEntry) (io.WriteCloser, error) {
		if parent := filepath.Dir(f.Name); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return nil, err
			}
		}
		return root.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	})
}

// Copy checks a bundle in one pass and writes each file, the manifest and its
// signature included, to what create returns. What was written is right only when
// Copy has returned without an error.
func (t Trust) Copy(r io.Reader, create func(ManifestEntry) (io.WriteCloser, error)) (*Manifest, error) {
	archive, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	m, err := archive.manifest(t, create)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		if err := archive.copyFile(f, create); err != nil {
			return nil, err
		}
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it holds more than its manifest says, or is damaged at its end", ErrBundle)
	}
	return m, nil
}

// damaged tells an archive that is cut short or damaged from one that cannot be
// read or written for another reason.
func damaged(err error) error {
	var flaw flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it is cut short", ErrBundle)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, tar.ErrHeader), errors.As(err, &flaw):
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return err
}

// archive is a tar archive of hostile origin.
type archive struct{ *tar.Reader }

// openArchive looks whether r is compressed. It bounds what is read in all.
func openArchive(r io.Reader) (*archive, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it is empty", ErrBundle)
	}
	if err != nil {
		return nil, err
	}
	var plain io.Reader = buffered
	if bytes.Equal(magic, []byte{0x1F, 0x8B}) {
		if plain, err = gzip.NewReader(buffered); err != nil {
			return nil, damaged(err)
		}
	}
	return &archive{tar.NewReader(io.LimitReader(plain, maxTotalSize))}, nil
}

// manifest reads the first two files, checks the signature and only then writes
// them. A bundle that nobody signed has the first alone.
func (a *archive) manifest(t Trust, create func(ManifestEntry) (io.WriteCloser, error)) (*Manifest, error) {
	encoded, err := a.small(NameManifest, maxManifest)
	if err != nil {
		return nil, err
	}
	files := []file{bytesFile(NameManifest, encoded)}
	var signature []byte
	if !t.Unsigned {
		if signature, err = a.small(NameSignature, ed25519.SignatureSize); err != nil {
			return nil, err
		}
		files = append(files, bytesFile(NameSignature, signature))
	}
	m, err := t.ParseManifest(encoded, signature)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := writeTo(create, ManifestEntry{Name: f.name, Size: f.Size}, f.copyTo); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// next wants a regular file of that name and at most that size.
func (a *archive) next(name string, limit int64) (int64, error) {
	header, err := a.Next()
	switch {
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: it ends before %s", ErrBundle, name)
	case err != nil:
		return 0, fmt.Errorf("%w: %s is missing: %w", ErrBundle, name, damaged(err))
	case name == NameSignature && header.Name != name:
		return 0, ErrUnsigned
	case header.Name != name || header.Typeflag != tar.TypeReg:
		return 0, fmt.Errorf("%w: found %.100q (type %q) where %s should be", ErrBundle, header.Name, header.Typeflag, name)
	case header.Size < 0 || header.Size > limit:
		return 0, fmt.Errorf("%w: %s has more than %s", ErrBundle, name, size.Text(limit))
	}
	return header.Size, nil
}

// small reads a file into memory.
func (a *archive) small(name string, limit int64) ([]byte, error) {
	if _, err := a.next(name, limit); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, damaged(err))
	}
	return data, nil
}

// copyFile copies the file that comes next and compares it with its entry.
func (a *archive) copyFile(f ManifestEntry, create func(ManifestEntry) (io.WriteCloser, error)) error {
	size, err := a.next(f.Name, maxFileSize)
	if err != nil {
		return err
	}
	sum := sha256.New()
	err = writeTo(create, f, func(w io.Writer) error {
		_, err := io.Copy(io.MultiWriter(w, sum), a)
		return damaged(err)
	})
	if err != nil {
		return err
	}
	if size != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s is not what the manifest says", ErrBundle, f.Name)
	}
	return nil
}

func writeTo(create func(ManifestEntry) (io.WriteCloser, error), f ManifestEntry, contents func(io.Writer) error) error {
	w, err := create(f)
	if err != nil {
		return err
	}
	if err := contents(w); err != nil {
		w.Close() //nolint:errcheck // the copy's error says more
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	return w.Close()
}

// discard is a file that nobody wants.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
