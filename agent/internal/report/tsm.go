package report

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tsmProvider is the name under which SEV-SNP answers in configfs-tsm.
const tsmProvider = "sev_guest"

// tsmGeneration is what a fresh entry counts after its one write, so that a
// report that somebody else asked for is noticed.
const tsmGeneration = "1"

// Configfs is the directory of report entries (Linux,
// Documentation/ABI/testing/configfs-tsm-report).
type Configfs interface {
	Mkdir(entry string) error
	Rmdir(entry string) error
	Write(entry, attribute string, value []byte) error
	// Read returns an attribute, at most limit bytes of it.
	Read(entry, attribute string, limit int64) ([]byte, error)
}

// TSM is configfs-tsm.
type TSM struct{ FS Configfs }

// Name returns "configfs-tsm".
func (TSM) Name() string { return "configfs-tsm" }

// Report makes an entry, asks through it and removes it.
func (t TSM) Report(data [DataSize]byte) (e *Evidence, err error) {
	entry := "snpguard-" + rand.Text()
	if err := t.FS.Mkdir(entry); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) {
			return nil, fmt.Errorf("%w: %w", errUnavailable, err)
		}
		return nil, fmt.Errorf("make entry: %w", err)
	}
	defer func() { err = errors.Join(err, t.FS.Rmdir(entry)) }()
	provider, err := t.FS.Read(entry, "provider", 64)
	if err != nil {
		return nil, fmt.Errorf("read provider: %w", err)
	}
	if name := strings.TrimSpace(string(provider)); name != tsmProvider {
		return nil, fmt.Errorf("%w: provider %q, want %s", errUnavailable, name, tsmProvider)
	}
	if err := t.FS.Write(entry, "inblob", data[:]); err != nil {
		return nil, fmt.Errorf("write inblob: %w", err)
	}
	return t.read(entry)
}

// read takes the report and, where the host gave one, the certificate table.
func (t TSM) read(entry string) (*Evidence, error) {
	report, err := t.FS.Read(entry, "outblob", Size+1)
	if err != nil {
		return nil, fmt.Errorf("read outblob: %w", err)
	}
	e := &Evidence{Report: report}
	e.Certificates, err = t.FS.Read(entry, "auxblob", maxTableSize+1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read auxblob: %w", err)
	}
	generation, err := t.FS.Read(entry, "generation", 32)
	if err != nil {
		return nil, fmt.Errorf("read generation: %w", err)
	}
	if g := strings.TrimSpace(string(generation)); g != tsmGeneration {
		return nil, fmt.Errorf("%w: generation %q, want %s", errMalformed, g, tsmGeneration)
	}
	return e, nil
}

// Dir is the real directory.
type Dir string

// Mkdir makes an entry.
func (d Dir) Mkdir(entry string) error { return os.Mkdir(filepath.Join(string(d), entry), 0o700) }

// Rmdir removes an entry.
func (d Dir) Rmdir(entry string) error { return os.Remove(filepath.Join(string(d), entry)) }

// Write writes an attribute in one call, as configfs wants it.
func (d Dir) Write(entry, attribute string, value []byte) error {
	f, err := os.OpenFile(filepath.Join(string(d), entry, attribute), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	return errors.Join(err, f.Close())
}

func (d Dir) Read(entry, attribute string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(string(d), entry, attribute))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
