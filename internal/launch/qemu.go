package launch

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// Program is the name of QEMU.
const Program = "qemu-system-x86_64"

// errQEMU is a QEMU that is missing or does not say what it is.
var errQEMU = errors.New("no usable " + Program)

// Version is a version of QEMU.
type Version struct{ Major, Minor int }

// AtLeast reports whether v is floor or later.
func (v Version) AtLeast(floor Version) bool {
	return v.Major > floor.Major || v.Major == floor.Major && v.Minor >= floor.Minor
}

// String returns MAJOR.MINOR.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// snpVersion is the first QEMU with the object sev-snp-guest, rawKernelVersion the
// first that gives firmware the kernel as it is in the file (etc/boot/kernel).
func snpVersion() Version       { return Version{9, 1} }
func rawKernelVersion() Version { return Version{10, 0} }

// queryTimeout bounds a QEMU that only has to say something.
const queryTimeout = 20 * time.Second

// QEMUVersion asks a QEMU for its version. The error wraps errQEMU.
func QEMUVersion(ctx context.Context, program string) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return Version{}, fmt.Errorf("%w: %s is missing; Debian's package is qemu-system-x86, Homebrew's qemu", errQEMU, program)
	}
	if err != nil {
		return Version{}, fmt.Errorf("%w: run %s: %w", errQEMU, program, err)
	}
	return parseVersion(string(out))
}

// versionLine is what QEMU prints for --version.
var versionLine = regexp.MustCompile(`^QEMU emulator version (\d{1,4})\.(\d{1,4})\b`)

func parseVersion(text string) (Version, error) {
	match := versionLine.FindStringSubmatch(text)
	if match == nil {
		return Version{}, fmt.Errorf("%w: its version is %.60q", errQEMU, text)
	}
	major, majorErr := strconv.Atoi(match[1])
	minor, minorErr := strconv.Atoi(match[2])
	return Version{major, minor}, errors.Join(majorErr, minorErr)
}
