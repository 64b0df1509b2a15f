package qemu

import (
	"fmt"
	"math"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// wrongSize refuses a virtual disk of n bytes, which is none or more than MaxSize.
func wrongSize(n uint64) error {
	if n == 0 {
		return fmt.Errorf("%w: the virtual disk is empty", ErrImage)
	}
	return fmt.Errorf("%w: a virtual disk of %s, at most %s are taken", ErrImage, size.Text(int64(min(n, math.MaxInt64))), size.Text(maxSize))
}
