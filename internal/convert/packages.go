package convert

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
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/kmod"
)

// maxPackage bounds a module package, in bytes. Ubuntu's have some 120 MiB.
const maxPackage = 1 << 30

// openPackages opens the packages with kernel modules that the image lacks.
func (c *conversion) openPackages(ctx context.Context) (list []*kmod.Package, err error) {
	c.record.Packages = map[string]string{}
	for i, spec := range c.ModulePackages {
		p, err := c.openPackage(ctx, spec, "package-"+strconv.Itoa(i))
		if err != nil {
			return list, &OptionError{"module_package", fmt.Errorf("%s: %w", spec, err)}
		}
		list = append(list, p)
	}
	return list, nil
}

func (c *conversion) openPackage(ctx context.Context, spec, name string) (*kmod.Package, error) {
	file, want, err := parsePackage(spec)
	if err != nil {
		return nil, err
	}
	base := path.Base(file)
	if isURL(file) {
		c.Events.Step("Download " + base)
		if file, err = download(ctx, file, c.work.path(name)); err != nil {
			return nil, err
		}
	}
	got, err := hashFile(file)
	if err != nil {
		return nil, err
	}
	if want != "" && got != want {
		return nil, fmt.Errorf("SHA-256 is %s, want %s", got, want)
	}
	c.record.Packages[base] = got
	return kmod.OpenPackage(file, c.work.dir)
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// parsePackage reads FILE, FILE#sha256=HEX or URL#sha256=HEX. What comes over a
// network has to be named by its hash.
func parsePackage(spec string) (file, sum string, err error) {
	file, sum, found := strings.Cut(spec, "#sha256=")
	if found {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
			return "", "", errors.New("sha256 wants 64 hexadecimal digits")
		}
		return file, strings.ToLower(sum), nil
	}
	if isURL(file) {
		return "", "", errors.New("a URL needs #sha256=HEX")
	}
	return file, "", nil
}

// download fetches a package into a file.
func download(ctx context.Context, from, to string) (string, error) {
	if _, err := url.Parse(from); err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the server answers %s", response.Status)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(response.Body, maxPackage+1))
	if err != nil {
		return "", err
	}
	if n > maxPackage {
		return "", fmt.Errorf("more than %d bytes", maxPackage)
	}
	return to, f.Close()
}
