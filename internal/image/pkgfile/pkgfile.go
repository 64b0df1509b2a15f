// Package pkgfile brings the packages that people name: FILE, FILE#sha256=HEX or
// URL#sha256=HEX. What comes over a network is trusted for its hash alone.
package pkgfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// maxPackage bounds a download, in bytes. Ubuntu's packages of modules have some
// 120 MiB.
const maxPackage = 1 << 30

// Spec is a package as it was named.
type Spec struct {
	Place  string // file or URL
	SHA256 string // 64 hexadecimal digits in lower case; "" where a file comes without
}

// Parse reads FILE, FILE#sha256=HEX or URL#sha256=HEX.
func Parse(text string) (Spec, error) {
	place, sum, found := strings.Cut(text, "#sha256=")
	s := Spec{Place: place, SHA256: strings.ToLower(sum)}
	if raw, err := hex.DecodeString(sum); found && (err != nil || len(raw) != sha256.Size) {
		return Spec{}, errors.New("sha256 wants 64 hexadecimal digits")
	}
	if s.Remote() && !found {
		return Spec{}, errors.New("a URL must end in #sha256=HEX: what comes over a network is identified by its hash")
	}
	return s, nil
}

// Remote says whether the package comes over a network.
func (s Spec) Remote() bool {
	return strings.HasPrefix(s.Place, "https://") || strings.HasPrefix(s.Place, "http://")
}

// Name is what people call the package: the last part of its place.
func (s Spec) Name() string { return path.Base(s.Place) }

// Fetch returns the package as a file, one in dir where it had to be downloaded.
func (s Spec) Fetch(ctx context.Context, dir string) (linuxpkg.Source, error) {
	if !s.Remote() {
		return linuxpkg.Source{Path: s.Place, SHA256: s.SHA256}, nil
	}
	file := filepath.Join(dir, "package-"+s.SHA256)
	if err := s.download(ctx, file); err != nil {
		return linuxpkg.Source{}, err
	}
	return linuxpkg.Source{Path: file, SHA256: s.SHA256}, nil
}

// download keeps the file if it has the hash.
func (s Spec) download(ctx context.Context, to string) (err error) {
	if _, err := url.Parse(s.Place); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Place, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err != nil {
			os.Remove(to) //nolint:errcheck // the error of the download counts
		}
	}()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(response.Body, maxPackage+1))
	if err != nil {
		return err
	}
	if n > maxPackage {
		return fmt.Errorf("it has more than %s", size.Text(maxPackage))
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != s.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, not %s as it was given: it is damaged, or another version", got, s.SHA256)
	}
	return nil
}
