package kds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Limits of an archive.
const (
	maxArchiveEntries = maxFileCacheEntries
	maxArchiveSize    = 512 << 20 // of all files together, unpacked
	maxManifestSize   = 64 << 20
)

// An archive is a gzip-compressed tar: first the manifest, then the entries in its
// order, as plain files without directories.
const (
	manifestName   = "manifest.json"
	manifestFormat = 1
)

// manifest says what an archive holds.
type manifest struct {
	Format  int             `json:"format"`
	Entries []manifestEntry `json:"entries"`
}

type manifestEntry struct {
	Name      string    `json:"name"` // Key.String
	Size      int       `json:"size"`
	SHA256    string    `json:"sha256"` // lower case hexadecimal
	FetchedAt time.Time `json:"fetched_at"`

	key Key
}

func newManifestEntry(key Key, entry Entry) manifestEntry {
	digest := sha256.Sum256(entry.Data)
	return manifestEntry{
		Name: key.String(), Size: len(entry.Data), SHA256: hex.EncodeToString(digest[:]),
		FetchedAt: entry.FetchedAt.UTC().Truncate(time.Second), key: key,
	}
}

// parseManifest reads a manifest and checks all that can be checked before the
// entries are read.
func parseManifest(data []byte) (*manifest, error) {
	var m manifest
	if err := strictjson.Decode(data, &m); err != nil {
		return nil, err
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("format is %d, this program knows %d", m.Format, manifestFormat)
	}
	if len(m.Entries) > maxArchiveEntries {
		return nil, fmt.Errorf("%d entries, want at most %d", len(m.Entries), maxArchiveEntries)
	}
	seen := make(map[Key]bool)
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if seen[e.key] {
			return nil, fmt.Errorf("%s is there twice", e.Name)
		}
		seen[e.key] = true
	}
	if m.size() > maxArchiveSize {
		return nil, fmt.Errorf("the entries have more than %s", size.Text(maxArchiveSize))
	}
	return &m, nil
}

// size returns the bytes of all entries together.
func (m *manifest) size() (total int64) {
	for _, e := range m.Entries {
		total += int64(e.Size)
	}
	return total
}

func (e *manifestEntry) check() error {
	var err error
	if e.key, err = ParseKey(e.Name); err != nil {
		return err
	}
	if e.Size < 1 || e.Size > e.key.MaxSize() {
		return fmt.Errorf("%s has %d bytes, want 1 to %d", e.Name, e.Size, e.key.MaxSize())
	}
	if digest, err := hex.DecodeString(e.SHA256); err != nil || len(digest) != sha256.Size {
		return fmt.Errorf("%s has no SHA-256 digest", e.Name)
	}
	return nil
}

// matches checks the data of an entry against its size and digest.
func (e *manifestEntry) matches(data []byte) error {
	digest := sha256.Sum256(data)
	if len(data) != e.Size || hex.EncodeToString(digest[:]) != e.SHA256 {
		return fmt.Errorf("%s is not what the manifest says: %d bytes, SHA-256 %x", e.Name, len(data), digest)
	}
	return nil
}
