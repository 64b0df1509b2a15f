package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file that pages load.
type asset struct {
	contentType string
	data        []byte
}

// readAssets returns the assets by the names under which they are served, each
// with its hash: a browser keeps them for good, and never mixes versions.
func readAssets() (map[string]asset, error) {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	assets := make(map[string]asset, len(entries))
	for _, e := range entries {
		data, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read assets: %w", err)
		}
		sum := sha256.Sum256(data)
		ending := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ending) + "." + hex.EncodeToString(sum[:6]) + ending
		assets[name] = asset{types[ending], data}
	}
	return assets, nil
}

// assetPath returns where an asset is served, by the name of its file.
func (w *Web) assetPath(name string) (string, error) {
	ending := path.Ext(name)
	for served := range w.assets {
		if strings.HasPrefix(served, strings.TrimSuffix(name, ending)+".") && path.Ext(served) == ending {
			return "/assets/" + served, nil
		}
	}
	return "", fmt.Errorf("there is no asset %s", name)
}

func (w *Web) asset(rw http.ResponseWriter, r *request) error {
	a, ok := w.assets[r.params.ByName("name")]
	if !ok {
		return missing(nil)
	}
	rw.Header().Set("Content-Type", a.contentType)
	rw.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, err := rw.Write(a.data)
	return err
}
