package osinfo

import (
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
)

// addInitrds gives entries that load no initrd the one that lies beside their
// kernel, by the names that Debian, Fedora and SUSE use: the agent needs one to run
// in.
func (in Input) addInitrds(entries []bootentry.Entry) {
	for i := range entries {
		e := &entries[i]
		release, ok := strings.CutPrefix(path.Base(e.Kernel), "vmlinuz-")
		if !ok || len(e.Initrds) > 0 {
			continue
		}
		for _, name := range []string{"initrd.img-" + release, "initramfs-" + release + ".img", "initrd-" + release} {
			beside := path.Join(path.Dir(e.Kernel), name)
			if _, _, err := in.Locate(e, beside); err == nil {
				e.Initrds = []string{beside}
				break
			}
		}
	}
}
