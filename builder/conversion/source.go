package conversion

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// Disk finds the disk image among the files of another builder's artifact. name,
// if there is one, is that of its file; otherwise the builder says which it is, as
// the qemu builder does, or there is only one that can be it.
func Disk(artifact packer.Artifact, name string) (string, error) {
	if name == "" {
		name, _ = artifact.State("diskName").(string) // others do not say
	}
	files := artifact.Files()
	if name != "" {
		for _, path := range files {
			if filepath.Base(path) == filepath.Base(name) {
				return path, nil
			}
		}
		return "", option.Errorf("in", "the artifact has no file %s: it has %s", filepath.Base(name), list(files))
	}
	var disks []string
	for _, path := range files {
		if slices.Contains(extensions, strings.ToLower(filepath.Ext(path))) {
			disks = append(disks, path)
		}
	}
	if len(disks) == 0 && len(files) == 1 {
		disks = files
	}
	if len(disks) != 1 {
		return "", option.Missingf("in", "%d files of the artifact could be the disk image; name one of %s", len(disks), list(files))
	}
	return disks[0], nil
}

// extensions are those of disk images.
var extensions = []string{".qcow2", ".raw", ".img", ".vmdk", ".vdi", ".vhd", ".vhdx"}

func list(files []string) string {
	if len(files) == 0 {
		return "no files"
	}
	var names []string
	for _, path := range files {
		names = append(names, fmt.Sprintf("%q", filepath.Base(path)))
	}
	return strings.Join(names, ", ")
}
