package linuxpkg

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
)

// TestSinkIsBounded has packages of which nearly too much was kept already.
func TestSinkIsBounded(t *testing.T) {
	files, err := newSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := files.close(); err != nil {
			t.Error(err)
		}
	})
	for name, tc := range map[string]struct {
		before  sink
		content int
		want    string
	}{
		"just enough": {sink{files: maxFiles - 1, size: maxSize - 1}, 1, ""},
		"files":       {sink{files: maxFiles}, 1, "more than 20000 files"},
		"bytes":       {sink{size: maxSize}, 1, "bytes.ko is too large"},
		"one file":    {sink{}, maxFile + 1, "one-file.ko is too large"},
	} {
		s := tc.before
		s.spool = files
		err := s.put(kmod.Dir+"/6.1/"+strings.ReplaceAll(name, " ", "-")+".ko", bytes.NewReader(make([]byte, tc.content)))
		if (err == nil) != (tc.want == "") || err != nil && (!errors.Is(err, ErrPackage) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnpackingIsBounded has archives of which nearly too much was unpacked already, in
// files that nobody keeps.
func TestUnpackingIsBounded(t *testing.T) {
	nothing := pkgtest.File{Name: "./usr/share/zeros", Content: string(make([]byte, 1<<20))}
	for name, content := range map[string][]byte{
		"deb": pkgtest.Deb(t, "bomb", "1", ".gz", nothing), "rpm": pkgtest.RPM(t, "bomb", ".gz", nothing),
	} {
		s := &sink{unpacked: maxUnpacked - 1<<20}
		if _, err := unpack(bufio.NewReader(bytes.NewReader(content)), s); !errors.Is(err, ErrPackage) || !strings.Contains(err.Error(), "unpacks to more than 8 GiB") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := unpack(bufio.NewReader(bytes.NewReader(content)), &sink{}); err != nil {
			t.Errorf("%s, control: %v", name, err)
		}
	}
}
