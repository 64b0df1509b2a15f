// Package size reads and writes numbers of bytes the one way that command line,
// templates and dashboard share.
package size

import (
	"fmt"

	"github.com/docker/go-units"
)

// Parse reads a size of at least one byte, such as 20G or 512M: units are powers of
// 1024, and without one it is in bytes.
func Parse(text string) (int64, error) {
	n, err := units.RAMInBytes(text)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is not a size; want one such as 20G or 512M", text)
	}
	return n, nil
}

// Text writes a size in its largest unit, to four digits: "1.5 GiB".
func Text(n int64) string {
	return units.CustomSize("%.4g %s", float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"})
}
