package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tinyPackage is a .deb with one module.
func tinyPackage(t *testing.T) (path, sum string) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "tree/DEBIAN/control", "Package: linux-modules-extra\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: none\n")
	put(t, dir, "tree/usr/lib/modules/"+tinyRelease+"/kernel/extra.ko", "a module")
	path = filepath.Join(dir, "extra.deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", filepath.Join(dir, "tree"), path).CombinedOutput(); err != nil {
		t.Fatalf("%v: install the package dpkg\n%s", err, out)
	}
	sum, err := hashFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return path, sum
}

// Packages come from files and over the network, where their hash says what they
// are.
func TestOpenPackages(t *testing.T) {
	path, sum := tinyPackage(t)
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(path))))
	defer server.Close()
	url := server.URL + "/extra.deb"
	wrong := strings.Repeat("00", sha256.Size)
	for spec, want := range map[string]string{
		path:                                 "",
		path + "#sha256=" + sum:              "",
		url + "#sha256=" + sum:               "",
		path + "#sha256=" + wrong:            "SHA-256 is " + sum + ", not " + wrong,
		url + "#sha256=" + wrong:             "SHA-256 is " + sum,
		url + "#sha256=" + "x":               "64 hexadecimal digits",
		server.URL + "/none#sha256=" + sum:   "404",
		"http://127.0.0.1:1/x#sha256=" + sum: "refused",
		path + "x":                           "no such file",
		filepath.Dir(path):                   "directory",
	} {
		dir := t.TempDir()
		list, err := openPackages(context.Background(), []string{spec}, dir, silent{})
		if want != "" {
			if !isOption(err, "module_packages") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", spec, err)
			}
			continue
		}
		if err != nil || len(list) != 1 || list[0].name != "extra.deb" || list[0].sum != sum {
			t.Errorf("%s: %+v, %v", spec, list, err)
			continue
		}
		changes, err := moduleFiles(list[0].FS)
		if err != nil || len(changes) != 1 || changes[0].Path != "lib/modules/"+tinyRelease+"/kernel/extra.ko" || string(changes[0].Content) != "a module" {
			t.Errorf("%s: %+v, %v", spec, changes, err)
		}
	}
}

// A package is converted with what it brings.
func TestConvertWithPackage(t *testing.T) {
	path, sum := tinyPackage(t)
	o, _ := tinyOptions(t, tinyImage(t, tinyTree(t)))
	o.ModulePackages = []string{path + "#sha256=" + sum}
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Packages["extra.deb"] != sum || !strings.Contains(strings.Join(c.Edits, " "), "/lib/modules/"+tinyRelease+"/kernel/extra.ko") {
		t.Errorf("%+v", c)
	}
	if _, err := hex.DecodeString(c.Source.SHA256); err != nil || len(c.Source.SHA256) != 64 {
		t.Errorf("hash of the source: %q", c.Source.SHA256)
	}
}
