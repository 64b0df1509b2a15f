package size_test

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"20G": 20 << 30, "512M": 512 << 20, "512MiB": 512 << 20, "1.5g": 3 << 29, "4096": 4096,
		"": 0, "0": 0, "-1G": 0, "much": 0, "20 X": 0,
	} {
		if got, err := size.Parse(text); got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
}

func TestText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 3 << 29: "1.5 GiB", 1000 << 20: "1000 MiB", 20 << 30: "20 GiB"} {
		if got := size.Text(n); got != want {
			t.Errorf("%d: got %q", n, got)
		}
	}
}
