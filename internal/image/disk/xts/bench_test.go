package xts

import (
	"crypto/aes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// work is one buffer of a conversion, in and out of the second-level cache.
const work = 64 * LargeSector

func BenchmarkEncrypt(b *testing.B) { each(b, core.encrypt) }

func BenchmarkDecrypt(b *testing.B) { each(b, core.decrypt) }

// each runs one direction of both implementations.
func each(b *testing.B, run func(c core, dst, src []byte, iv uint64)) {
	src, dst := random(b, work), make([]byte, work)
	for name, c := range cores(b, random(b, KeySize), LargeSector) {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.SetBytes(work)
			for b.Loop() {
				run(c, dst, src, 0)
			}
		})
	}
}

// BenchmarkRatioXTSEncrypt and BenchmarkRatioXTSDecrypt compare the time for a
// sector with what "openssl speed -evp aes-256-xts" needs, on one core.
func BenchmarkRatioXTSEncrypt(b *testing.B) { compare(b, core.encrypt) }

func BenchmarkRatioXTSDecrypt(b *testing.B) { compare(b, core.decrypt, "-decrypt") }

func compare(b *testing.B, run func(c core, dst, src []byte, iv uint64), flags ...string) {
	c, src, dst := cores(b, random(b, KeySize), LargeSector)["chosen"], random(b, work), make([]byte, work)
	var took, reference float64 // seconds a byte
	for b.Loop() {
		reference += 1 / openssl(b, flags...)
		start, n := time.Now(), 0
		for ; time.Since(start) < time.Second; n += work {
			run(c, dst, src, 0)
		}
		took += time.Since(start).Seconds() / float64(n)
	}
	ratio.Report(b, "x-openssl", 4.8/3.5, took/reference)
}

// openssl returns how many bytes a second OpenSSL does in one second.
func openssl(b *testing.B, flags ...string) float64 {
	b.Helper()
	args := append([]string{"speed", "-mr", "-seconds", "1", "-bytes", strconv.Itoa(LargeSector)}, flags...)
	out, err := exec.Command("openssl", append(args, "-evp", "aes-256-xts")...).Output()
	if err != nil {
		b.Fatalf("openssl (Debian package openssl): %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == "+F" {
			speed, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil || speed <= 0 {
				b.Fatalf("openssl said %s", line)
			}
			return speed
		}
	}
	b.Fatalf("openssl said %s", out)
	return 0
}

// BenchmarkRatioPortable compares plain Go with AES alone, block by block.
func BenchmarkRatioPortable(b *testing.B) {
	key, src, dst := random(b, KeySize), random(b, work), make([]byte, work)
	c, err := newPortable(key, LargeSector)
	if err != nil {
		b.Fatal(err)
	}
	block, err := aes.NewCipher(key[:aesKey])
	if err != nil {
		b.Fatal(err)
	}
	ratio.Compare(b, "x-aes", 3, func() {
		for i := 0; i < work; i += blockSize {
			block.Encrypt(dst[i:], src[i:])
		}
	}, func() { c.encrypt(dst, src, 0) })
}
