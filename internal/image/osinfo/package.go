package osinfo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// missingPackage names the package that would bring the modules which a kernel
// of Ubuntu lacks: sev-guest and tsm are not in linux-modules, but in
// linux-modules-extra of the same version.
func missingPackage(root fs.FS, id string, k *Kernel) (string, error) {
	if id != "ubuntu" || k.Capable() || k.unindexed {
		return "", nil
	}
	name := "linux-modules-extra-" + k.Release
	version, err := installedVersion(root, "linux-modules-"+k.Release)
	if err != nil || version == "" {
		return name, err
	}
	return name + " (" + version + ")", nil
}

// installedVersion returns the version of an installed Debian package, "" when
// dpkg's database does not know it.
func installedVersion(root fs.FS, name string) (string, error) {
	f, err := root.Open("var/lib/dpkg/status")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("open dpkg's database: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxStatus))
	lines.Buffer(nil, 1<<20)
	ours := false
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Package":
			ours = value == name
		case "Version":
			if ours {
				return printable(value), nil
			}
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("%w: dpkg's database: %w", ErrMalformed, err)
	}
	return "", nil
}
