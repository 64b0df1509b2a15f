// Package bootentry reads what an image would boot: GRUB's menu (grub.cfg, with
// grubenv), the entries of the UAPI group's Boot Loader Specification
// (loader/entries/*.conf) and unified kernel images (EFI/Linux/*.efi), finds
// the default as the boot loader would, and makes the measured kernel command
// line of an entry.
//
// grub.cfg is a script. It is interpreted as far as menus need: variables,
// conditions on variables, functions, menuentry and submenu. Commands that are
// not known succeed and do nothing, nothing outside the menu file and grubenv is
// read, and steps, depth and sizes are bounded.
package bootentry

import "errors"

var (
	// ErrMalformed is a boot menu that cannot be read.
	ErrMalformed = errors.New("malformed boot menu")
	// ErrNoEntries is an image without any boot menu or one that boots no Linux.
	ErrNoEntries = errors.New("no boot entries")
	// ErrCmdline is a kernel command line that cannot be measured or is refused.
	ErrCmdline = errors.New("unfit kernel command line")
	// ErrKeep is a word that is not kept of a kernel command line.
	ErrKeep = errors.New("word is not kept")
)

// Limits on what is read, in bytes and numbers.
const (
	maxMenuFile  = 4 << 20
	maxEntryFile = 64 << 10
	maxEntries   = 1024
	maxSteps     = 100000
	maxDepth     = 32
	maxValue     = 64 << 10
	maxVariable  = 256 // of a variable's name
	maxTitle     = 1024
	maxTest      = 64 // words
	stepBytes    = 256
)

// Entry is something that the boot loader offers to boot.
type Entry struct {
	Source  string   `json:"source"` // the file that it is from
	Title   string   `json:"title"`  // with those of its submenus: "Advanced options>Linux 6.12"
	ID      string   `json:"id,omitempty"`
	Kernel  string   `json:"kernel"`        // path, from the root of the file system that holds it; a section of a unified kernel image is a file below that
	Initrds []string `json:"initrds"`       // likewise; loaded one behind the other
	Options string   `json:"options"`       // the kernel's command line
	Default bool     `json:"default"`       // what boots when nobody chooses
	ESP     bool     `json:"esp,omitempty"` // kernel and initrds lie on the EFI system partition

	// Doubts are commands of the menu that are not followed and may decide what
	// boots, such as "source \"/boot/grub/custom.cfg\"": of the entry, and of the
	// file that it is from.
	Doubts []string `json:"-"`

	menu int // where it is in the tree of menus
}
