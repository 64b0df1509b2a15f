//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/test/e2e/vm"
)

// BenchmarkRatioAgent holds the agent's time from its start to the hand-over, the
// network's step left out, against what the kernel of the same boot took before it.
func BenchmarkRatioAgent(b *testing.B) {
	c := small(b, "debian")
	bundle := registered(b, "small", c)
	var agent, kernel float64
	for b.Loop() {
		v := boot(b, c, bundle, "--snapshot")
		line := expect(b, v, `\[ *([0-9.]+)\] snpguard: \[([0-9.]+)s\] hand-over: to .* after .*\bnetwork ([0-9.]+)s`, untilAgent)
		v.Stop()
		total := number(b, line[2])
		agent += total - number(b, line[3])
		kernel += number(b, line[1]) - total
	}
	ratio.Report(b, "x-kernel-before-it", 1, agent/kernel)
}

// BenchmarkRatioInstanceBoot holds a boot of a ready instance, from the kernel's start to
// the hand-over, the network's step left out, against one of an image without instances.
func BenchmarkRatioInstanceBoot(b *testing.B) {
	plain := small(b, "debian")
	bundle := registered(b, "small", plain)
	c, withBundle := withInstances(b)
	i := newInstance(b, c, withBundle, "bench")
	first := i.host(b).boot(b)
	readied(b, first)
	first.Kill()
	seconds := func(v *vm.VM) float64 {
		line := expect(b, v, `\[ *([0-9.]+)\] snpguard: .* hand-over: to .* after .*\bnetwork ([0-9.]+)s`, untilAgent)
		v.Kill()
		return number(b, line[1]) - number(b, line[2])
	}
	var ready, none float64
	for b.Loop() {
		for range 3 {
			none += seconds(boot(b, plain, bundle, "--snapshot"))
			ready += seconds(i.launch(b))
		}
	}
	ratio.Report(b, "x-without-instances", 1.1, ready/none)
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkRatioInitrd holds the initrds that boot against the one of the source.
func BenchmarkRatioInitrd(b *testing.B) {
	for _, kind := range []string{"debian", "dracut"} {
		for initrd, most := range map[string]float64{"minimal": 0.25, "distribution": 1.25} {
			b.Run(kind+"_"+initrd, func(b *testing.B) {
				c := withInitrd(b, kind, initrd)
				made, err := os.Stat(filepath.Join(c.Staging, staging.NameInitrd))
				if err != nil {
					b.Fatal(err)
				}
				stock, err := openRoot(b, image(b, kind), 1).Stat("boot/initrd.img-" + c.Conversion.Kernel)
				if err != nil {
					b.Fatal(err)
				}
				ratio.Report(b, "x-stock-initrd", most, float64(made.Size())/float64(stock.Size()))
			})
		}
	}
}

// withInitrd returns an image converted with a kind of initrd.
func withInitrd(tb testing.TB, kind, initrd string) *conversion {
	tb.Helper()
	if initrd == "minimal" {
		return converted(tb, kind)
	}
	return conversions.get(kind+"-"+initrd, func() *conversion {
		return convertImage(tb, kind, filepath.Join(scratch, kind+"-"+initrd), "--initrd", initrd)
	})
}

// BenchmarkRatioRootMounted holds the time from the kernel's start to the mounted root
// with the initrd of the agent alone against that with the distribution's.
func BenchmarkRatioRootMounted(b *testing.B) {
	seconds := map[string]float64{}
	for b.Loop() {
		for _, initrd := range []string{"distribution", "minimal"} {
			c := withInitrd(b, "debian", initrd)
			v := boot(b, c, registered(b, "mounted-"+initrd, c), "--snapshot")
			line := expect(b, v, `\[ *([0-9.]+)\] EXT4-fs \(dm-0\): mounted filesystem`, untilLogin)
			v.Stop()
			seconds[initrd] += number(b, line[1])
		}
	}
	ratio.Report(b, "x-distribution", 0.5, seconds["minimal"]/seconds["distribution"])
}
