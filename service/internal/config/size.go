package config

import "github.com/snpguard-go/packer-plugin-snpguard/internal/size"

// bytesValue is a flag that takes a size, such as 64M, and keeps it in bytes.
type bytesValue int64

// Set reads a size of at least one byte.
func (v *bytesValue) Set(text string) error {
	n, err := size.Parse(text)
	if err == nil {
		*v = bytesValue(n)
	}
	return err
}

func (v *bytesValue) String() string { return size.Text(int64(*v)) }

// Type is what --help shows in place of the value.
func (v *bytesValue) Type() string { return "size" }
