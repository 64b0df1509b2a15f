package linuxpkg

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
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
