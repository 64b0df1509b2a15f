package pkgfile_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/pkgfile"
)

func TestParse(t *testing.T) {
	sum := strings.Repeat("aB", sha256.Size)
	for text, want := range map[string][3]string{
		"a.deb":               {"a.deb", "", ""},
		"a.deb#sha256=" + sum: {"a.deb", strings.ToLower(sum), ""},
		"https://example.com/a.deb#sha256=" + sum: {"https://example.com/a.deb", strings.ToLower(sum), ""},
		"https://example.com/a.deb":               {"", "", "must end in #sha256="},
		"http://example.com/a.deb":                {"", "", "must end in #sha256="},
		"https://example.com/a.deb#sha256=":       {"", "", "64 hexadecimal digits"},
		"a.deb#sha256=12":                         {"", "", "64 hexadecimal digits"},
		"a.deb#sha256=" + sum + "00":              {"", "", "64 hexadecimal digits"},
		"a.deb#sha256=" + sum[2:] + "zz":          {"", "", "64 hexadecimal digits"},
	} {
		s, err := pkgfile.Parse(text)
		if s.Place != want[0] || s.SHA256 != want[1] || (err == nil) != (want[2] == "") || err != nil && !strings.Contains(err.Error(), want[2]) {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
}

// A download is kept under its hash, or not at all.
func TestFetch(t *testing.T) {
	content := []byte("a package")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.deb" {
			http.NotFound(w, r)
			return
		}
		w.Write(content) //nolint:errcheck // the client sees it
	}))
	defer server.Close()
	hash := sha256.Sum256(content)
	sum := hex.EncodeToString(hash[:])
	for text, want := range map[string]string{
		server.URL + "/a.deb#sha256=" + sum:                     "",
		server.URL + "/a.deb#sha256=" + strings.Repeat("0", 64): "its SHA-256 is " + sum,
		server.URL + "/none#sha256=" + sum:                      "404",
		"http://127.0.0.1:1/x#sha256=" + sum:                    "refused",
	} {
		dir := t.TempDir()
		s, err := pkgfile.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		source, err := s.Fetch(t.Context(), dir)
		if want != "" {
			left, _ := filepath.Glob(dir + "/*")
			if err == nil || !strings.Contains(err.Error(), want) || len(left) != 0 {
				t.Errorf("%s: %v, left %v", text, err, left)
			}
			continue
		}
		got, readErr := os.ReadFile(source.Path)
		if err != nil || readErr != nil || string(got) != string(content) || source.SHA256 != sum || s.Name() != "a.deb" {
			t.Errorf("%s: %+v, %v, %v", text, source, err, readErr)
		}
	}
	if source, err := (pkgfile.Spec{Place: "a.deb"}).Fetch(t.Context(), ""); err != nil || source.Path != "a.deb" {
		t.Errorf("a file: %+v, %v", source, err)
	}
}

// A download ends with its context and leaves no file.
func TestFetchEndsWithContext(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := (pkgfile.Spec{Place: server.URL, SHA256: strings.Repeat("0", 64)}).Fetch(ctx, dir); err == nil {
		t.Error("downloaded from a server that says nothing")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
