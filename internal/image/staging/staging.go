// Package staging is the directory in which a conversion leaves what
// registration, embedding and launching need: firmware, kernel, initrd, command
// line, the keys in sealed form, and conversion.json, which describes it all.
//
// Nothing in it is secret. Whoever changes a file changes what is measured.
package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// File names. The first four are those of a launch bundle.
const (
	NameFirmware     = "firmware-code.fd"
	NameKernel       = "vmlinuz"
	NameInitrd       = "initrd.img"
	NameCmdline      = "kernel-params.txt"
	NameSealedVMK    = "vmk.sealed"        // HPKE to the unsealing key, wire.SealedVMKSize bytes
	NameUnsealingKey = "unsealing.key.enc" // HPKE to the service's ingestion key, wire.SealedUnsealingKeySize bytes
	NameRecovery     = "vmk.age"           // the VMK for the owner's recipients, when there are any
	NameConversion   = "conversion.json"
)

// Format is the version of conversion.json.
const Format = 1

// maxConversion bounds conversion.json, in bytes.
const maxConversion = 4 << 20

// ErrStaging is a directory that no conversion has left like this.
var ErrStaging = errors.New("not the staging directory of a conversion")

// Conversion is conversion.json.
type Conversion struct {
	Format    int       `json:"format"`
	Version   string    `json:"version"` // of SnpGuard
	CreatedAt time.Time `json:"created_at"`
	ImageID   wire.UUID `json:"image_id"`
	Encrypted bool      `json:"encrypted"`
	Simulated bool      `json:"simulated"` // the agent attests to a simulated AMD-SP
	Source    Source    `json:"source"`
	Disk      Disk      `json:"disk"`
	OS        string    `json:"os"`     // PRETTY_NAME of os-release
	Kernel    string    `json:"kernel"` // version
	BootEntry string    `json:"boot_entry"`
	Cmdline   string    `json:"cmdline"`
	Initrd    string    `json:"initrd"` // bootconf.InitrdMinimal or InitrdDistribution
	// OptionalModules: the root need not have the modules of the kernel that boots.
	OptionalModules bool `json:"optional_modules"`

	Services []string          `json:"services"` // that the agent asks for its key
	Files    map[string]File   `json:"files"`    // by name, all that the directory holds beside conversion.json
	Recovery []string          `json:"recovery"` // age recipients that can open NameRecovery
	Edits    []string          `json:"edits"`    // paths in the root that differ from the source
	Findings []Finding         `json:"findings"` // what weakens the image
	Modules  []string          `json:"modules"`  // kernel modules for the agent, in load order
	Packages map[string]string `json:"packages"` // SHA-256 of module packages by file name
}

// Source describes the image that was converted.
type Source struct {
	Path   string `json:"path"`
	Format string `json:"format"`
	Size   int64  `json:"size"` // of the disk, in bytes
	SHA256 string `json:"sha256"`
}

// Disk describes the image that came out.
type Disk struct {
	Path            string      `json:"path"`
	Format          string      `json:"format"`
	Size            int64       `json:"size"`      // of the disk, in bytes
	FileSize        int64       `json:"file_size"` // allocated by the file, in bytes
	Used            int64       `json:"used"`      // of the root's file system
	SectorSize      int         `json:"sector_size"`
	GUID            string      `json:"guid"`
	Partitions      []Partition `json:"partitions"`
	RootPartition   int         `json:"root_partition"`
	LUKSUUID        string      `json:"luks_uuid,omitempty"`
	PayloadOffset   int64       `json:"payload_offset,omitempty"` // bytes from the partition's start
	Filesystem      string      `json:"filesystem"`
	FilesystemUUID  string      `json:"filesystem_uuid"`
	AllowDiscards   bool        `json:"allow_discards"`
	FreeSpaceFilled bool        `json:"free_space_filled"` // nobody sees which blocks are in use
}

// Partition is one entry of the partition table.
type Partition struct {
	Number int    `json:"number"`
	Type   string `json:"type"` // GUID
	GUID   string `json:"guid"`
	Name   string `json:"name"`
	Offset int64  `json:"offset"` // in bytes
	Size   int64  `json:"size"`   // in bytes
}

// File is the size and hash of a file of the directory.
type File struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Finding is something about the image that its owner should know.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Path     string `json:"path,omitempty"`
	Detail   string `json:"detail"`
	Mended   bool   `json:"mended"` // the conversion has dealt with it
}

// Text is the finding as people read it, with its file.
func (f *Finding) Text() string {
	if f.Path == "" {
		return f.Detail
	}
	return "/" + f.Path + ": " + f.Detail
}

// Read returns conversion.json of a staging directory. The error wraps
// ErrStaging where the directory is at fault.
func Read(dir string) (*Conversion, error) {
	path := filepath.Join(dir, NameConversion)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrStaging, dir, NameConversion)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConversion+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConversion {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrStaging, path, maxConversion)
	}
	var c Conversion
	if err := strictjson.Decode(data, &c); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrStaging, path, err)
	}
	if c.Format != Format {
		return nil, fmt.Errorf("%w: %s has format %d, this program reads %d", ErrStaging, path, c.Format, Format)
	}
	if c.ImageID.IsZero() {
		return nil, fmt.Errorf("%w: %s has no image_id", ErrStaging, path)
	}
	return &c, nil
}

// Write fills in c.Files from what dir holds and writes conversion.json.
func (c *Conversion) Write(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	c.Files = map[string]File{}
	for _, e := range entries {
		if c.Files[e.Name()], err = describe(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, NameConversion), append(data, '\n'), 0o644)
}

func describe(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	return File{Size: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}

// Check compares the files of dir with what conversion.json says of them. The
// error wraps ErrStaging.
func (c *Conversion) Check(dir string) error {
	for name, want := range c.Files {
		if filepath.Base(name) != name {
			return fmt.Errorf("%w: %s names %q", ErrStaging, NameConversion, name)
		}
		got, err := describe(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStaging, err)
		}
		if got != want {
			return fmt.Errorf("%w: %s has changed since the conversion: SHA-256 %s of %d bytes, want %s of %d bytes",
				ErrStaging, name, got.SHA256, got.Size, want.SHA256, want.Size)
		}
	}
	return nil
}
