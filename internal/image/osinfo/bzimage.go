package osinfo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// The x86 boot protocol (the kernel's Documentation/arch/x86/boot.rst): where
// the setup header of a bzImage has its magic number and the offset of the
// version string, which counts from 0x200.
const (
	setupMagicOffset   = 0x202
	setupVersionOffset = 0x20E
	setupSize          = 0x210
	setupMagic         = "HdrS"
	maxVersion         = 128
)

// kernelRelease reads the release from the kernel itself, since links such as
// /vmlinuz do not say it.
func kernelRelease(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	release, err := KernelRelease(f)
	if err != nil {
		return "", fmt.Errorf("kernel %s: %w", path.Base(name), err)
	}
	return release, nil
}

// KernelRelease reads the release of a bzImage, such as 6.12.121+deb13-cloud-amd64. The
// error wraps ErrMalformed.
func KernelRelease(kernel io.Reader) (string, error) {
	start, err := io.ReadAll(io.LimitReader(kernel, 0x200+1<<16+maxVersion))
	if err != nil {
		return "", err
	}
	release, err := parseRelease(start)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return release, nil
}

func parseRelease(start []byte) (string, error) {
	if len(start) < setupSize || string(start[setupMagicOffset:][:len(setupMagic)]) != setupMagic {
		return "", errors.New("no bzImage for x86")
	}
	at := 0x200 + int(binary.LittleEndian.Uint16(start[setupVersionOffset:]))
	if at == 0x200 || at >= len(start) {
		return "", errors.New("no version in its setup header")
	}
	version, _, ended := strings.Cut(string(start[at:min(at+maxVersion, len(start))]), "\x00")
	release, _, spaced := strings.Cut(version, " ")
	if release == "" || !ended && !spaced || printable(release) != release || strings.Contains(release, "/") {
		return "", fmt.Errorf("version %.64q", version)
	}
	return release, nil
}
