package measure_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// launchFiles are as large as those of a Debian cloud image.
type launchFiles struct{ firmware, kernel, initrd []byte }

func newLaunchFiles(b *testing.B) launchFiles {
	return launchFiles{
		firmware: vectors.MustRead(b, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"),
		kernel:   bytes.Repeat([]byte("kernel"), 15<<20/6),
		initrd:   bytes.Repeat([]byte("initrd"), 30<<20/6),
	}
}

// hash is the reference: every byte once, with the hash that it is measured by.
func (f launchFiles) hash() {
	sha512.Sum384(f.firmware)
	sha256.Sum256(f.kernel)
	sha256.Sum256(f.initrd)
}

// measure parses and measures the files and finishes the given variants.
func (f launchFiles) measure(b *testing.B, variants []measure.VCPUs) {
	firmware, err := measure.ParseFirmware(f.firmware)
	if err != nil {
		b.Fatal(err)
	}
	hashes, err := measure.HashKernel(bytes.NewReader(f.kernel), bytes.NewReader(f.initrd), "root=/dev/mapper/cryptroot")
	if err != nil {
		b.Fatal(err)
	}
	launch, err := measure.New(measure.Config{
		Firmware: firmware, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures,
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range variants {
		if _, err := launch.Digest(v); err != nil {
			b.Fatal(err)
		}
	}
}

func variants(b *testing.B, counts []int, names ...string) []measure.VCPUs {
	var all []measure.VCPUs
	for _, name := range names {
		t, err := measure.ParseVCPUType(name)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range counts {
			all = append(all, measure.VCPUs{Count: n, Type: t})
		}
	}
	return all
}

// BenchmarkRatioLaunchDigest compares a digest with hashing the same bytes.
func BenchmarkRatioLaunchDigest(b *testing.B) {
	files, one := newLaunchFiles(b), variants(b, []int{4}, "EPYC-Milan")
	ratio.Compare(b, "x-hashing", 1.25, files.hash, func() { files.measure(b, one) })
}

// BenchmarkRatioSixteenVariants compares sixteen variants with one.
func BenchmarkRatioSixteenVariants(b *testing.B) {
	files, one := newLaunchFiles(b), variants(b, []int{4}, "EPYC-Milan")
	sixteen := variants(b, []int{1, 2, 4, 8, 16, 32, 64, 128}, "EPYC-Milan", "EPYC-Genoa")
	ratio.Compare(b, "x-one-variant", 1.3, func() { files.measure(b, one) }, func() { files.measure(b, sixteen) })
}
