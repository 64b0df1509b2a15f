package bundle_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// FuzzVerify feeds hostile archives. Nothing that the fuzzer makes is signed.
func FuzzVerify(f *testing.F) {
	good := written(f, bundle.Tar)
	f.Add(good[:4096])
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	gz.Write(good[:2048]) //nolint:errcheck // a buffer never fails
	gz.Close()            //nolint:errcheck // a buffer never fails
	f.Add(packed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := bundle.Verify(bytes.NewReader(data), public(identityKey())); err == nil {
			t.Errorf("accepted %+v", m)
		}
	})
}

// FuzzParseManifest signs whatever comes: a service that has been broken into
// still names no file outside of the bundle.
func FuzzParseManifest(f *testing.F) {
	m, err := bundle.Verify(bytes.NewReader(written(f, bundle.Tar)), public(identityKey()))
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.ReplaceAll(good, []byte(bundle.NameFirmware), []byte("../../etc/x")))
	f.Add(append(bytes.Clone(good), good...))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		key := identityKey()
		m, err := bundle.ParseManifest(encoded, bundle.Sign(key, encoded), public(key))
		if err != nil {
			if !errors.Is(err, bundle.ErrBundle) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		for _, file := range m.Files {
			if path.Clean(file.Name) != file.Name || path.IsAbs(file.Name) || strings.Contains(file.Name, "..") && !strings.HasPrefix(path.Clean("/x/"+file.Name), "/x/") ||
				strings.Count(file.Name, "/") > 1 || file.Size < 0 {
				t.Errorf("took the file %q of %d bytes", file.Name, file.Size)
			}
		}
	})
}
