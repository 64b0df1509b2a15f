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
	"path/filepath"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// maxPackage bounds a module package, in bytes. Ubuntu's have some 120 MiB.
const maxPackage = 1 << 30

// modulePackage is an open package and the hash of its file.
type modulePackage struct {
	*kmod.Package
	name, sum string
}

// openPackages opens the packages with kernel modules that the image lacks. They
// lie in dir; closing them is not needed where that is removed.
func openPackages(ctx context.Context, specs []string, dir string, events Events) (list []*modulePackage, err error) {
	for i, spec := range specs {
		p, err := openPackage(ctx, spec, dir, filepath.Join(dir, "package-"+strconv.Itoa(i)), events)
		if err != nil {
			return list, option.Wrap("module_packages", fmt.Errorf("%s: %w", spec, err))
		}
		list = append(list, p)
	}
	return list, nil
}

func openPackage(ctx context.Context, spec, dir, target string, events Events) (*modulePackage, error) {
	file, want, err := parsePackage(spec)
	if err != nil {
		return nil, err
	}
	name := path.Base(file)
	if isURL(file) {
		events.Step("Download " + name)
		if file, err = download(ctx, file, target); err != nil {
			return nil, err
		}
	}
	got, err := hashFile(ctx, file)
	if err != nil {
		return nil, err
	}
	if want != "" && got != want {
		return nil, fmt.Errorf("its SHA-256 is %s, not %s as it was given: it is damaged, or another version", got, want)
	}
	p, err := kmod.OpenPackage(file, dir)
	if err != nil {
		return nil, err
	}
	return &modulePackage{p, name, got}, nil
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
		return "", "", errors.New("a URL must end in #sha256=HEX: what comes over a network is identified by its hash")
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
		return "", fmt.Errorf("it has more than %s", size.Text(maxPackage))
	}
	return to, f.Close()
}
