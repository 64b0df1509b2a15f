package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Verify reads a whole bundle, tar or tar.gz, and returns its manifest when the
// signature and every file are right. The error wraps ErrSignature or ErrBundle.
func Verify(r io.Reader, identity ed25519.PublicKey) (*Manifest, error) {
	return read(r, identity, func(ManifestEntry) (io.WriteCloser, error) { return discard{}, nil })
}

// Extract is Verify that also writes the files, the manifest and its signature
// included, below dir, which must be empty. On an error it may leave some of
// them there: extract into a directory of its own and rename that.
func Extract(r io.Reader, dir string, identity ed25519.PublicKey) (*Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it that Close could lose
	return read(r, identity, func(f ManifestEntry) (io.WriteCloser, error) {
		if parent := filepath.Dir(f.Name); parent != "." {
			if err := root.MkdirAll(parent, 0o755); err != nil {
				return nil, err
			}
		}
		return root.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	})
}

// read checks a bundle in one pass and writes each file to what create returns.
func read(r io.Reader, identity ed25519.PublicKey, create func(ManifestEntry) (io.WriteCloser, error)) (*Manifest, error) {
	archive, err := openArchive(r)
	if err != nil {
		return nil, err
	}
	m, err := archive.manifest(identity, create)
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

// archive is a tar archive of hostile origin.
type archive struct{ *tar.Reader }

// openArchive looks whether r is compressed. It bounds what is read in all.
func openArchive(r io.Reader) (*archive, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if err != nil {
		return nil, fmt.Errorf("%w: it is empty", ErrBundle)
	}
	var plain io.Reader = buffered
	if bytes.Equal(magic, []byte{0x1F, 0x8B}) {
		if plain, err = gzip.NewReader(buffered); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
	}
	return &archive{tar.NewReader(io.LimitReader(plain, maxTotalSize))}, nil
}

// manifest reads the first two files, checks the signature and only then writes
// them.
func (a *archive) manifest(identity ed25519.PublicKey, create func(ManifestEntry) (io.WriteCloser, error)) (*Manifest, error) {
	encoded, err := a.small(NameManifest, maxManifest)
	if err != nil {
		return nil, err
	}
	signature, err := a.small(NameSignature, ed25519.SignatureSize)
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(encoded, signature, identity)
	if err != nil {
		return nil, err
	}
	for name, data := range map[string][]byte{NameManifest: encoded, NameSignature: signature} {
		if err := writeTo(create, ManifestEntry{Name: name}, bytes.NewReader(data)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// next wants a regular file of that name and at most that size.
func (a *archive) next(name string, limit int64) (size int64, err error) {
	header, err := a.Next()
	if err != nil {
		return 0, fmt.Errorf("%w: %s is missing: %w", ErrBundle, name, err)
	}
	if header.Name != name || header.Typeflag != tar.TypeReg {
		return 0, fmt.Errorf("%w: found %.100q (type %q) where %s should be", ErrBundle, header.Name, header.Typeflag, name)
	}
	if header.Size < 0 || header.Size > limit {
		return 0, fmt.Errorf("%w: %s has %d bytes, at most %d are taken", ErrBundle, name, header.Size, limit)
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
		return nil, fmt.Errorf("%w: %s: %w", ErrBundle, name, err)
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
	if err := writeTo(create, f, io.TeeReader(a, sum)); err != nil {
		return err
	}
	if size != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s is not what the manifest says", ErrBundle, f.Name)
	}
	return nil
}

func writeTo(create func(ManifestEntry) (io.WriteCloser, error), f ManifestEntry, r io.Reader) error {
	w, err := create(f)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close() //nolint:errcheck // the copy's error says more
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	return w.Close()
}

// discard is a file that nobody wants.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
