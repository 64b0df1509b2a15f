package measure_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// heads returns the first bytes of each container format.
func heads() map[string]string {
	return map[string]string{
		"qcow2": "QFI\xfb\x00\x00\x00\x03", "VMDK": "KDMV\x01", "VMDK descriptor": "# Disk DescriptorFile", "VHDX": "vhdxfile",
		"VHD": "conectix", "VDI": strings.Repeat("\x00", 0x40) + "\x7f\x10\xda\xbe", "QED": "QED\x00", "LUKS": "LUKS\xba\xbe\x00\x02",
	}
}

// A container that ends with a genuine firmware has its footer table where it is
// looked for: qcow2 keeps the clusters of a file in order.
func TestContainersAreNoFirmware(t *testing.T) {
	firmware := vectors.MustRead(t, "measure/inputs/synth/s1_hashoff_123.fd")
	for name, head := range heads() {
		data := append(make([]byte, measure.PageSize), firmware...)
		copy(data, head)
		if _, err := measure.ParseFirmware(data); !errors.Is(err, measure.ErrContainer) || !strings.Contains(err.Error(), "qemu-img convert -O raw") {
			t.Errorf("%s: got %v, want %v", name, err, measure.ErrContainer)
		}
	}
}

func TestContainersAreNoKernel(t *testing.T) {
	for name, head := range heads() {
		if _, err := measure.HashKernel(strings.NewReader(head), nil, ""); !errors.Is(err, measure.ErrContainer) {
			t.Errorf("%s as kernel: got %v", name, err)
		}
		if _, err := measure.HashKernel(strings.NewReader("k"), strings.NewReader(head), ""); !errors.Is(err, measure.ErrContainer) {
			t.Errorf("%s as initrd: got %v", name, err)
		}
	}
}

func TestRawReaderGivesEverything(t *testing.T) {
	for _, size := range []int{0, 1, measure.ContainerHeadSize, measure.ContainerHeadSize + 1, 5000} {
		want := bytes.Repeat([]byte("x"), size)
		r, err := measure.RawReader(bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}
