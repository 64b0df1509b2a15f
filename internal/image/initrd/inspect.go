package initrd

import (
	"io"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Kind is the program that made an initrd.
type Kind string

// The kinds of initrd.
const (
	InitramfsTools Kind = "initramfs-tools"
	Dracut         Kind = "dracut"
	UnknownKind    Kind = "unknown"
)

// SegmentInfo describes one archive of an initrd.
type SegmentInfo struct {
	Format  decompress.Format `json:"format"`
	Entries int               `json:"entries"`
}

// Info is what an initrd is.
type Info struct {
	Kind     Kind          `json:"kind"`
	Systemd  bool          `json:"systemd"` // its init is systemd
	Agent    bool          `json:"agent"`   // it has an agent already: the image was converted before
	Init     bool          `json:"init"`    // it has an /init to go on with
	Segments []SegmentInfo `json:"segments"`
}

// Inspect reads an initrd to its end as the kernel does, unpacking nothing to
// memory. The error wraps ErrMalformed where the kernel would stop before that
// end, so that nothing behind it would be unpacked.
func Inspect(r io.Reader) (*Info, error) {
	info := &Info{Kind: UnknownKind}
	err := Walk(r, func(h *cpio.Header, _ io.Reader) error {
		info.note(h)
		return nil
	}, func(s SegmentInfo) {
		info.Segments = append(info.Segments, s)
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// note learns from the name of an entry. Prefixes such as "./" and "usr/" are
// not told apart.
func (i *Info) note(h *cpio.Header) {
	name := path.Clean(strings.TrimLeft(h.Name, "/"))
	switch {
	case "/"+name == bootconf.PathAgent:
		i.Agent = true
	case name == "init":
		i.Init = true
	}
	switch strings.TrimPrefix(name, "usr/") {
	case "scripts/functions", "conf/initramfs.conf":
		i.Kind = InitramfsTools
	case "lib/dracut", "lib/dracut/hooks", "lib/dracut-lib.sh":
		i.Kind = Dracut
	case "lib/systemd/systemd":
		i.Systemd = true
	}
}
