// Package status is the file that says how this boot was attested. The agent in
// the initrd writes it, the agent in the running system reads it. It is for root
// alone and holds no secret.
package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/timeline"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Path is where the file is in the running system.
const Path = "/run/snpguard/status.json"

// Format is the version of the document.
const Format = 1

// maxSize bounds the document in bytes.
const maxSize = 1 << 20

// ErrNone is a system that no agent has unlocked.
var ErrNone = errors.New("this system was not unlocked by a SnpGuard agent")

// Status is the document, also what "snpguard-agent status --json" prints.
type Status struct {
	Format       int             `json:"format"`
	Agent        string          `json:"agent"`     // version
	Simulated    bool            `json:"simulated"` // attested to a simulated AMD-SP: worth nothing
	ImageID      wire.UUID       `json:"image_id"`
	Service      string          `json:"service"`      // the URL that gave the key
	Interface    string          `json:"interface"`    // over which it came
	Provider     string          `json:"provider"`     // where the report came from
	Certificates int             `json:"certificates"` // bytes of the host's certificate table, 0 for none
	Report       []byte          `json:"report"`
	Fields       *report.Fields  `json:"fields"` // of the report, not verified here
	Root         Root            `json:"root"`
	Instance     *Instance       `json:"instance,omitempty"` // nil where the image has none
	Seconds      float64         `json:"seconds"`            // from the agent's start to the hand-over
	Steps        []timeline.Step `json:"steps"`
}

// Instance is which VM of its image this is.
type Instance struct {
	ID         wire.UUID          `json:"id"`
	State      wire.InstanceState `json:"state"`
	Generation uint64             `json:"generation"` // of this boot
}

// Root is what was opened.
type Root struct {
	Partition      string `json:"partition"` // kernel's name
	Device         string `json:"device"`
	Cipher         string `json:"cipher"`
	SectorSize     int    `json:"sector_size"`
	Filesystem     string `json:"filesystem"`
	FilesystemUUID string `json:"filesystem_uuid"` // of the file system
}

// Write writes the file whole or not at all: mode 0600 in a directory of mode
// 0700.
func (s *Status) Write(path string) error {
	encoded, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	return write(path, append(encoded, '\n'))
}

func write(path string, encoded []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := renameio.WriteFile(path, encoded, 0o600, renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Read reads the file. The error wraps ErrNone when there is none.
func Read(path string) (*Status, error) {
	encoded, err := read(path)
	if err != nil {
		return nil, err
	}
	var s Status
	if err := strictjson.Decode(encoded, &s); err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	if s.Format != Format {
		return nil, fmt.Errorf("read status: format %d, this program knows %d", s.Format, Format)
	}
	return &s, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	defer f.Close()
	encoded, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	return encoded, nil
}
