// Package osinfo tells what a disk image is, from its file systems alone: the
// operating system, its kernels and whether they can run as an SNP guest with
// the agent, what it would boot, and what would let the host in.
//
// All of an image is hostile, and none of it is run.
package osinfo

import (
	"errors"
	"io/fs"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

var (
	// ErrMalformed is a file that cannot be read as what its place says it is.
	ErrMalformed = errors.New("malformed system files")
	// ErrNoKernel is an image without a kernel that can run as an SNP guest; the
	// message names those that were seen and what each lacks.
	ErrNoKernel = errors.New("no kernel that can run as an SNP guest")
)

// Limits on what is read, in bytes and numbers.
const (
	maxConfig = 4 << 20
	maxStatus = 64 << 20 // of dpkg's database
	maxKernel = 64
)

// Input is the file systems of an image.
type Input struct {
	Root     fs.FS
	Boot     fs.FS   // of a separate /boot, or nil
	ESP      fs.FS   // of the EFI system partition, or nil
	Packages []fs.FS // modules of packages that are not installed, as linuxpkg.Open gives them
	Harden   harden.Options
}

// OS is what an image is.
type OS struct {
	ID      string            `json:"id"`   // of os-release(5): "debian"
	Name    string            `json:"name"` // for people: "Debian GNU/Linux 13 (trixie)"
	Kernels []Kernel          `json:"kernels"`
	Entries []bootentry.Entry `json:"entries"`
	// Findings are what the conversion mends, and what it cannot.
	Findings []harden.Finding `json:"findings"`
}
