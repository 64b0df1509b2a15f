package luks2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// metadata is the JSON area (LUKS2 On-Disk Format Specification, chapter 3).
// Integers of 64 bits are decimal strings. What only cryptsetup needs is left
// raw.
type metadata struct {
	Keyslots map[string]json.RawMessage `json:"keyslots"`
	Tokens   map[string]json.RawMessage `json:"tokens"`
	Segments map[string]segment         `json:"segments"`
	Digests  map[string]json.RawMessage `json:"digests"`
	Config   config                     `json:"config"`
}

type segment struct {
	Type       string `json:"type"`
	Offset     uint64 `json:"offset,string"`
	Size       string `json:"size"` // "dynamic": to the partition's end
	IVTweak    uint64 `json:"iv_tweak,string"`
	Encryption string `json:"encryption"`
	SectorSize int    `json:"sector_size"`
}

type digest struct {
	Type       string   `json:"type"`
	Keyslots   []string `json:"keyslots"`
	Segments   []string `json:"segments"`
	Hash       string   `json:"hash"`
	Iterations int      `json:"iterations"`
	Salt       []byte   `json:"salt"`
	Digest     []byte   `json:"digest"`
}

type config struct {
	JSONSize     uint64          `json:"json_size,string"`
	KeyslotsSize uint64          `json:"keyslots_size,string"`
	Requirements json.RawMessage `json:"requirements,omitempty"`
}

// jsonSize is the size of the JSON area.
const jsonSize = CopySize - offsetJSON

// maxOffset keeps sums of offsets within 64 bits.
const maxOffset = 1 << 60

// encodeMetadata returns the JSON of an encrypted root.
func encodeMetadata(sectorSize int, d digest) ([]byte, error) {
	sealed, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	none := map[string]json.RawMessage{}
	return json.Marshal(metadata{
		Keyslots: none,
		Tokens:   none,
		Segments: map[string]segment{"0": {
			Type: "crypt", Offset: PayloadOffset, Size: "dynamic", Encryption: Cipher, SectorSize: sectorSize,
		}},
		Digests: map[string]json.RawMessage{"0": sealed},
		Config:  config{JSONSize: jsonSize, KeyslotsSize: KeyslotsEnd - Size},
	})
}

// decodeMetadata returns what the JSON area says of a Header. Headers that ask
// for more than this package knows (requirements, such as a reencryption under
// way) or have more than one segment are refused.
func decodeMetadata(area []byte) (*Header, error) {
	text, rest, found := bytes.Cut(area, []byte{0})
	if !found || len(bytes.Trim(rest, "\x00")) != 0 {
		return nil, fmt.Errorf("%w: JSON does not end in zeros", ErrHeader)
	}
	var m metadata
	if err := (strictjson.Rules{SkipUnknown: true}).Decode(text, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	s, found := m.Segments["0"]
	switch c := m.Config; {
	case c.JSONSize != jsonSize || c.KeyslotsSize > maxOffset:
		return nil, fmt.Errorf("%w: areas of %d and %d bytes", ErrHeader, c.JSONSize, c.KeyslotsSize)
	case len(c.Requirements) != 0:
		return nil, fmt.Errorf("%w: it has requirements", ErrHeader)
	case !found || len(m.Segments) != 1:
		return nil, fmt.Errorf("%w: %d segments", ErrHeader, len(m.Segments))
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &Header{
		KeyslotsEnd:   Size + int64(m.Config.KeyslotsSize),
		PayloadOffset: int64(s.Offset),
		Cipher:        s.Encryption,
		SectorSize:    s.SectorSize,
		Keyslots:      len(m.Keyslots),
	}, nil
}

// check refuses a segment that Header cannot describe.
func (s segment) check() error {
	switch {
	case s.Type != "crypt":
		return fmt.Errorf("%w: segment of type %.40q", ErrHeader, s.Type)
	case s.Offset > maxOffset || s.Offset%512 != 0:
		return fmt.Errorf("%w: segment at %d", ErrHeader, s.Offset)
	case s.Size != "dynamic":
		return fmt.Errorf("%w: segment of size %.40q", ErrHeader, s.Size)
	case s.IVTweak != 0:
		return fmt.Errorf("%w: IVs begin at %d", ErrHeader, s.IVTweak)
	case s.Encryption == "" || !printable(s.Encryption):
		return fmt.Errorf("%w: cipher %.40s", ErrHeader, strconv.QuoteToASCII(s.Encryption))
	}
	switch s.SectorSize {
	case 512, 1024, 2048, 4096:
		return nil
	}
	return fmt.Errorf("%w: sectors of %d bytes", ErrHeader, s.SectorSize)
}
