package api_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
)

// artifacts is where uploads are kept: files in a directory.
type artifacts struct {
	artifact.Store
	dir string
}

func newArtifacts(t *testing.T) *artifacts {
	t.Helper()
	dir := t.TempDir()
	files, err := artifact.OpenFiles(dir)
	must(t, err)
	return &artifacts{files, dir}
}

// left counts the files, whole and half ones.
func (a *artifacts) left() int {
	n := 0
	err := filepath.WalkDir(a.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	return n
}
