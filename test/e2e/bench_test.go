//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// BenchmarkRatioAgent holds the agent's time from its start to the hand-over, the
// network's step left out, against what the kernel of the same boot took before it.
func BenchmarkRatioAgent(b *testing.B) {
	c := small(b, "debian")
	bundle := registered(b, "small", c)
	var agent, kernel float64
	for b.Loop() {
		v := boot(b, c, bundle, "--snapshot")
		line := expect(b, v, `\[ *([0-9.]+)\] snpguard: \[([0-9.]+)s\] hand-over: to /init after .*\bnetwork ([0-9.]+)s`, untilAgent)
		v.Stop()
		total := number(b, line[2])
		agent += total - number(b, line[3])
		kernel += number(b, line[1]) - total
	}
	ratio.Report(b, "x-kernel-before-it", 1, agent/kernel)
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkRatioInitrd holds the initrd that boots against the one of the source.
func BenchmarkRatioInitrd(b *testing.B) {
	for _, kind := range []string{"debian", "dracut"} {
		b.Run(kind, func(b *testing.B) {
			c := converted(b, kind)
			grown, err := os.Stat(filepath.Join(c.Staging, staging.NameInitrd))
			if err != nil {
				b.Fatal(err)
			}
			stock, err := openRoot(b, image(b, kind), 1).Stat("boot/initrd.img-" + c.Conversion.Kernel)
			if err != nil {
				b.Fatal(err)
			}
			ratio.Report(b, "x-stock-initrd", 1.25, float64(grown.Size())/float64(stock.Size()))
		})
	}
}
