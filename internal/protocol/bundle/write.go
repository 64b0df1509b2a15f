package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Format is a form in which a bundle is written.
type Format string

// The forms of a bundle.
const (
	TarGz    Format = "tar.gz"
	Tar      Format = "tar"
	SquashFS Format = "squashfs"
)

// ParseFormat reads the name of a format; empty means TarGz.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "":
		return TarGz, nil
	case TarGz, Tar, SquashFS:
		return f, nil
	}
	return "", fmt.Errorf("unknown bundle format %.20q, want tar.gz, tar or squashfs", s)
}

// Release is what a bundle is written from.
type Release struct {
	Image     wire.UUID
	Release   wire.UUID
	ImageName string
	CreatedAt time.Time
	Simulated bool
	Policy    uint64 // guest policy
	Cmdline   string
	Firmware  Blob
	Kernel    Blob
	Initrd    Blob
	Variants  []ReleaseVariant // the default first, at least one
}

// Blob is a file that is streamed into the bundle. Its size and hash are known
// beforehand and checked while it is written.
type Blob struct {
	Size   int64
	SHA256 [sha256.Size]byte
	Open   func() (io.ReadCloser, error)
}

// ReleaseVariant is a variant with its signed ID block.
type ReleaseVariant struct {
	VCPUs       int
	VCPUType    string
	Measurement [48]byte
	IDBlock     []byte
	IDAuth      []byte
}

// file is a file of a bundle that is about to be written.
type file struct {
	name string
	Blob
	data []byte // the contents, where they are in memory
}

func bytesFile(name string, data []byte) file {
	return file{name, Blob{
		Size: int64(len(data)), SHA256: sha256.Sum256(data),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}, data}
}

// WriteUnsigned writes the bundle of a release that no service knows and that has
// no ID blocks, as tar, without a signature.
func WriteUnsigned(w io.Writer, r Release) error {
	manifest, files, err := r.files(true)
	if err != nil {
		return err
	}
	return writeTar(w, append([]file{manifest}, files...), r.CreatedAt)
}

// Write writes the bundle of a release, signed by the identity key. The same
// release always gives the same bytes. A failure leaves w with part of it.
func Write(w io.Writer, r Release, identity ed25519.PrivateKey, format Format) error {
	manifest, files, err := r.files(false)
	if err != nil {
		return err
	}
	files = append([]file{manifest, bytesFile(NameSignature, Sign(identity, manifest.data))}, files...)
	switch format {
	case Tar:
		return writeTar(w, files, r.CreatedAt)
	case TarGz:
		gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed) // kernel and initrd are compressed already
		if err != nil {
			return err
		}
		if err := writeTar(gz, files, r.CreatedAt); err != nil {
			return err
		}
		return gz.Close()
	case SquashFS:
		return writeSquashFS(w, files, r.CreatedAt)
	}
	return fmt.Errorf("unknown bundle format %q", format)
}

// files returns the manifest and what it names.
func (r Release) files(unsigned bool) (manifest file, files []file, err error) {
	files = []file{
		{NameFirmware, r.Firmware, nil}, {NameKernel, r.Kernel, nil}, {NameInitrd, r.Initrd, nil},
		bytesFile(NameCmdline, []byte(r.Cmdline)),
	}
	m := Manifest{
		Format: manifestFormat, Image: r.Image, Release: r.Release, ImageName: r.ImageName,
		CreatedAt: r.CreatedAt.UTC(), Simulated: r.Simulated, Unsigned: unsigned,
	}
	for i, rv := range r.Variants {
		v := Variant{VCPUs: rv.VCPUs, VCPUType: rv.VCPUType, Policy: fmt.Sprintf("%#x", r.Policy)}
		config, err := json.MarshalIndent(LaunchConfig{VCPUModel: rv.VCPUType, VCPUCount: rv.VCPUs, GuestPolicy: v.Policy}, "", "  ")
		if err != nil {
			return file{}, nil, err
		}
		files = append(files, bytesFile(v.file(NameLaunchConfig, i == 0), append(config, '\n')))
		if !unsigned {
			v.Measurement = hex.EncodeToString(rv.Measurement[:])
			files = append(files, bytesFile(v.file(NameIDBlock, i == 0), rv.IDBlock), bytesFile(v.file(NameIDAuth, i == 0), rv.IDAuth))
		}
		m.Variants = append(m.Variants, v)
	}
	for _, f := range files {
		m.Files = append(m.Files, ManifestEntry{Name: f.name, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256[:])})
	}
	if err := m.check(); err != nil {
		return file{}, nil, err
	}
	encoded, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return file{}, nil, err
	}
	return bytesFile(NameManifest, encoded), files, nil
}

func writeTar(w io.Writer, files []file, modified time.Time) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Size: f.Size, Mode: 0o644,
			ModTime: modified.Truncate(time.Second), Format: tar.FormatUSTAR,
		}
		if len(f.name) > 100 {
			header.Format = tar.FormatPAX
		}
		if err := tw.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if err := f.copyTo(tw); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return tw.Close()
}

// copyTo copies the file and fails when it is not what the manifest says.
func (f file) copyTo(w io.Writer) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(w, io.TeeReader(io.LimitReader(r, f.Size+1), sum))
	if err != nil {
		return err
	}
	if n != f.Size || !bytes.Equal(sum.Sum(nil), f.SHA256[:]) {
		return errors.New("contents changed since they were registered")
	}
	return nil
}
