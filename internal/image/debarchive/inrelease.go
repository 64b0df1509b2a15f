package debarchive

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// Release is what a signed InRelease says.
type Release struct {
	Origin, Suite string
	SignedBy      string // fingerprint of the primary key, in upper-case hexadecimal
	Date          time.Time
	ValidUntil    time.Time // zero where the archive says none

	indexes map[string]string // names of Packages files by their SHA-256
}

// ReadRelease reads an InRelease. The error wraps ErrSignature, or ErrIndex where signed
// text cannot be read.
func ReadRelease(message []byte, keyring *Keyring, now time.Time) (*Release, error) {
	if len(message) > MaxInRelease {
		return nil, fmt.Errorf("%w: InRelease has more than %d bytes", ErrIndex, MaxInRelease)
	}
	text, signer, err := keyring.verify(message, now)
	if err != nil {
		return nil, err
	}
	r := &Release{SignedBy: signer}
	return r, r.parse(string(text))
}

// parse reads the signed text. The error wraps ErrIndex.
func (r *Release) parse(text string) error {
	r.indexes = make(map[string]string)
	seen := make(map[string]bool)
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, " ") {
			if section == "sha256" {
				if err := r.addIndex(line); err != nil {
					return err
				}
			}
			continue
		}
		name, value, found := strings.Cut(line, ":")
		section = strings.ToLower(name)
		if !found || seen[section] {
			return fmt.Errorf("%w: InRelease has the line %.100q", ErrIndex, line)
		}
		seen[section] = true
		if err := r.set(section, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	if r.Date.IsZero() || !seen["sha256"] {
		return fmt.Errorf("%w: InRelease has no Date, or no SHA256", ErrIndex)
	}
	return nil
}

func (r *Release) set(field, value string) (err error) {
	switch field {
	case "origin":
		r.Origin = value
	case "suite":
		r.Suite = value
	case "date":
		r.Date, err = parseDate(value)
	case "valid-until":
		r.ValidUntil, err = parseDate(value)
	}
	return err
}

// parseDate reads "Sat, 28 Nov 2026 02:53:00 UTC"; time.Parse takes any three letters
// for a zone.
func parseDate(value string) (time.Time, error) {
	at, err := time.Parse(time.RFC1123, value)
	if err != nil || !strings.HasSuffix(value, " UTC") && !strings.HasSuffix(value, " GMT") {
		return time.Time{}, fmt.Errorf("%w: InRelease has the date %.64q", ErrIndex, value)
	}
	return at.UTC(), nil
}

// addIndex keeps " HASH SIZE NAME" if it is of a Packages file.
func (r *Release) addIndex(line string) error {
	words := strings.Fields(line)
	if len(words) != 3 {
		return fmt.Errorf("%w: InRelease has the line %.100q", ErrIndex, line)
	}
	raw, err := hex.DecodeString(words[0])
	if _, notNumber := strconv.ParseUint(words[1], 10, 63); err != nil || len(raw) != 32 || notNumber != nil {
		return fmt.Errorf("%w: InRelease has the line %.100q", ErrIndex, line)
	}
	if base := path.Base(words[2]); base == "Packages" || strings.HasPrefix(base, "Packages.") {
		r.indexes[strings.ToLower(words[0])] = words[2]
	}
	return nil
}

// clockSkew is how far in the future an index may seem to have been made.
const clockSkew = 24 * time.Hour

// CheckAge refuses an index that is older than maxAge, or not valid at this time by what
// it says itself. The error wraps ErrStale.
func (r *Release) CheckAge(now time.Time, maxAge time.Duration) error {
	switch {
	case r.Date.After(now.Add(clockSkew)):
		return fmt.Errorf("%w: it is of %s, which has not come yet; is the clock right?", ErrStale, r.Date.Format(time.RFC3339))
	case now.Sub(r.Date) > maxAge:
		return fmt.Errorf("%w: it is of %s, %d days ago, and at most %d are accepted", ErrStale, r.Date.Format(time.RFC3339),
			int(now.Sub(r.Date)/(24*time.Hour)), int(maxAge/(24*time.Hour)))
	case !r.ValidUntil.IsZero() && now.After(r.ValidUntil):
		return fmt.Errorf("%w: it was valid until %s", ErrStale, r.ValidUntil.Format(time.RFC3339))
	}
	return nil
}
