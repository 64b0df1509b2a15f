// Package vectors reads the test vectors of the testdata directory at the root
// of the tree. Tests alone import it.
package vectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ulikunitz/xz"
)

// Dir returns the path of the testdata directory.
func Dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../../testdata")
}

// ReadFile returns the contents of a file below Dir. When there is no such
// file but one with ".xz" behind its name, it returns what that expands to.
func ReadFile(name string) ([]byte, error) {
	path := filepath.Join(Dir(), name)
	data, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	packed, xzErr := os.ReadFile(path + ".xz")
	if xzErr != nil {
		return nil, err
	}
	r, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Memo returns a ReadFile that expands each file once. What it returns is shared
// and must not be changed. It is not for concurrent use.
func Memo() func(name string) ([]byte, error) {
	read := make(map[string][]byte)
	return func(name string) ([]byte, error) {
		if data, ok := read[name]; ok {
			return data, nil
		}
		data, err := ReadFile(name)
		if err == nil {
			read[name] = data
		}
		return data, err
	}
}

// MustRead is ReadFile for a file that has to be there.
func MustRead(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// ReadJSON decodes a JSON file below Dir into v.
func ReadJSON(tb testing.TB, name string, v any) {
	tb.Helper()
	if err := json.Unmarshal(MustRead(tb, name), v); err != nil {
		tb.Fatal(err)
	}
}
