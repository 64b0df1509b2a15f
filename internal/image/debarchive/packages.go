package debarchive

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Find reads one Packages file to its end, plain or compressed, and returns which of the
// packages stand in it, with the same name, version, architecture and SHA-256. The file,
// as it is or decompressed, must have a hash that the InRelease names, or nothing of it
// counts: the error wraps ErrIndex then.
func (r *Release) Find(file io.Reader, packages []linuxpkg.Package) (found []linuxpkg.Package, err error) {
	raw, plain := sha256.New(), sha256.New()
	all := bufio.NewReader(io.TeeReader(file, raw))
	content, _, err := decompress.NewReader(all)
	if err != nil {
		return nil, fmt.Errorf("%w: Packages: %w", ErrIndex, err)
	}
	defer content.Close()
	limited := &io.LimitedReader{R: io.TeeReader(content, plain), N: maxPackages}
	found, err = findStanzas(limited, packages)
	if err != nil {
		return nil, err
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("%w: Packages has more than %s", ErrIndex, size.Text(maxPackages))
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, err
	}
	if r.indexes[sum(raw)] == "" && r.indexes[sum(plain)] == "" {
		return nil, fmt.Errorf("%w: the InRelease names no Packages with the SHA-256 %s", ErrIndex, sum(raw))
	}
	return found, nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// stanza is the fields of a package in an index, by their names in lower case.
type stanza map[string]string

// findStanzas reads stanzas, each ended by an empty line.
func findStanzas(r io.Reader, packages []linuxpkg.Package) (found []linuxpkg.Package, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	s := stanza{}
	take := func() {
		for _, p := range packages {
			if s.is(p) {
				found = append(found, p)
			}
		}
		clear(s)
	}
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.TrimSpace(line) == "":
			take()
		case line[0] != ' ' && line[0] != '\t':
			if err := s.add(line); err != nil {
				return nil, err
			}
		}
	}
	take()
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) || errors.Is(err, decompress.ErrMalformed) {
		return nil, fmt.Errorf("%w: Packages: %w", ErrIndex, err)
	} else if err != nil {
		return nil, err
	}
	return found, nil
}

// add keeps a field that is compared, which must be there once.
func (s stanza) add(line string) error {
	name, value, found := strings.Cut(line, ":")
	if !found {
		return fmt.Errorf("%w: Packages has the line %.100q", ErrIndex, line)
	}
	switch name = strings.ToLower(name); name {
	case "package", "version", "architecture", "sha256", "filename":
		if _, twice := s[name]; twice {
			return fmt.Errorf("%w: Packages has %s twice in a stanza", ErrIndex, name)
		}
		s[name] = strings.TrimSpace(value)
	}
	return nil
}

// is says whether the stanza is of the package.
func (s stanza) is(p linuxpkg.Package) bool {
	base := path.Base(s["filename"])
	return s["package"] == p.Name && s["version"] == p.Version && s["architecture"] == p.Architecture && strings.ToLower(s["sha256"]) == p.SHA256 &&
		strings.HasPrefix(base, p.Name+"_") && strings.HasSuffix(base, ".deb")
}
