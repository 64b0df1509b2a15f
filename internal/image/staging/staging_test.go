package staging_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func written(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{staging.NameKernel: "kernel", staging.NameCmdline: "root=/dev/mapper/cryptroot"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&staging.Conversion{Format: staging.Format, ImageID: wire.UUID{7}, Encrypted: true}).Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWrittenIsRead(t *testing.T) {
	dir := written(t)
	c, err := staging.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]staging.File{
		staging.NameKernel:  {Size: 6, SHA256: "6923dd1bc0460082c5d55a831908c24a282860b7f1cd6c2b79cf1bc8857c639c"},
		staging.NameCmdline: {Size: 26, SHA256: "1a55aca7e464c6e81f92b9276a922cc690811abbe17fa1b82c490a2bc7756aa4"},
	}
	if !reflect.DeepEqual(c.Files, want) || c.ImageID != (wire.UUID{7}) {
		t.Errorf("read %+v", c)
	}
	if err := c.Check(dir); err != nil {
		t.Error(err)
	}
}

func TestChangedFilesAreNoticed(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"content": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, staging.NameKernel), []byte("kernem"), 0o600)
		},
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, staging.NameKernel)) },
	} {
		dir := written(t)
		c, err := staging.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(dir); !errors.Is(err, staging.ErrStaging) || !strings.Contains(err.Error(), staging.NameKernel) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c := staging.Conversion{Files: map[string]staging.File{"../passwd": {}}}
	if err := c.Check(t.TempDir()); !errors.Is(err, staging.ErrStaging) {
		t.Errorf("a name outside the directory: got %v", err)
	}
}

func TestOtherDirectoriesAreRefused(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":      "x",
		"field twice":  `{"format": 1, "image_id": "01000000-0000-0000-0000-000000000000", "encrypted": true, "encrypted": false}`,
		"other case":   `{"format": 1, "image_id": "01000000-0000-0000-0000-000000000000", "Simulated": false}`,
		"unknown":      `{"format": 1, "image_id": "01000000-0000-0000-0000-000000000000", "colour": 1}`,
		"two":          `{"format": 1, "image_id": "01000000-0000-0000-0000-000000000000"}{}`,
		"other format": `{"format": 2, "image_id": "01000000-0000-0000-0000-000000000000"}`,
		"no image":     `{"format": 1, "image_id": "00000000-0000-0000-0000-000000000000"}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, staging.NameConversion), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := staging.Read(dir); !errors.Is(err, staging.ErrStaging) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := staging.Read(t.TempDir()); !errors.Is(err, staging.ErrStaging) {
		t.Errorf("empty directory: got %v", err)
	}
}
