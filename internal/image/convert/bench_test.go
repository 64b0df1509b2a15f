package convert

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// debianImage is the real image that "make images" builds.
func debianImage(b *testing.B) string {
	b.Helper()
	dir := os.Getenv("SNPGUARD_IMAGES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			b.Fatal(err)
		}
		dir = filepath.Join(cache, "snpguard", "images")
	}
	image := filepath.Join(dir, "debian.qcow2")
	if _, err := os.Stat(image); err != nil {
		b.Fatalf("%v: run \"make images\" first", err)
	}
	return image
}

// benchOptions convert the image into dir.
func benchOptions(b *testing.B, dir string) *Options {
	b.Helper()
	ingestion, err := seal.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	firmware := filepath.Join(dir, "OVMF.fd")
	if err := os.WriteFile(firmware, vectors.MustRead(b, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"), 0o600); err != nil {
		b.Fatal(err)
	}
	o := &Options{
		Input: debianImage(b), Output: filepath.Join(dir, "out.qcow2"), Staging: filepath.Join(dir, "staging"),
		Config: Config{Firmware: firmware}, Replace: true, Agent: make([]byte, 8<<20),
		Service: Service{
			URLs: []string{"https://attest.example.org"}, CA: string(simtest.AMD(b).Line(snp.Milan).ARK.PEM()),
			IdentityKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey), IngestionKey: ingestion.Public(),
		},
	}
	option.SetDefaults(&o.Config)
	return o
}

// BenchmarkRatioConvert holds a conversion against a copy by qemu-img, made as
// durable as the conversion is: else the disk writes the copy while it converts. For
// the same reason what was made before is gone, and off the disk, when either begins.
func BenchmarkRatioConvert(b *testing.B) {
	dir := b.TempDir()
	o := benchOptions(b, dir)
	copied := filepath.Join(dir, "copy.qcow2")
	ratio.Pair{Clear: func() {
		if err := errors.Join(os.RemoveAll(copied), os.RemoveAll(o.Output), os.RemoveAll(o.Staging)); err != nil {
			b.Fatal(err)
		}
		syscall.Sync()
	}, Reference: func() {
		if out, err := exec.Command("qemu-img", "convert", "-O", "qcow2", o.Input, copied).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		if err := syncFile(copied); err != nil {
			b.Fatal(err)
		}
	}, Subject: func() { convertOnce(b, o) }}.Compare(b, "x-qemu-img-convert", 1.3)
}

func convertOnce(b *testing.B, o *Options) *staging.Conversion {
	b.Helper()
	conversion, err := Convert(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	return conversion
}

// BenchmarkRatioConvertSize holds the image against what its file system uses.
func BenchmarkRatioConvertSize(b *testing.B) {
	conversion := convertOnce(b, benchOptions(b, b.TempDir()))
	ratio.Report(b, "x-used-bytes", 1.15, float64(conversion.Disk.FileSize)/float64(conversion.Disk.Used))
}

// BenchmarkRatioConvertScratch holds the most that a conversion has beside its results
// against what the file system uses.
func BenchmarkRatioConvertScratch(b *testing.B) {
	o := benchOptions(b, b.TempDir())
	scratch := &scratchMeter{dir: filepath.Dir(o.Output)}
	o.Events = scratch
	conversion := convertOnce(b, o)
	ratio.Report(b, "x-used-bytes", 0.1, float64(scratch.most)/float64(conversion.Disk.Used))
}

// scratchMeter notes how much a conversion has in its workspaces but for what it is to
// leave.
type scratchMeter struct {
	dir  string
	most int64 // bytes
}

func (s *scratchMeter) Step(string)           { s.measure() }
func (s *scratchMeter) Note(string)           { s.measure() }
func (s *scratchMeter) Progress(int64, int64) { s.measure() }

func (s *scratchMeter) measure() {
	var now int64
	//nolint:errcheck // it never stops
	filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil: // files come and go
			return nil //nolint:nilerr // as it says
		case !strings.Contains(name, ".snpguard-"):
			return nil
		case d.Name() == "staging":
			return fs.SkipDir
		case !d.Type().IsRegular() || d.Name() == "image":
			return nil
		}
		if info, err := d.Info(); err == nil {
			now += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	s.most = max(s.most, now)
}

// BenchmarkRatioConvertMemory tells the most memory that this process had.
func BenchmarkRatioConvertMemory(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		b.Fatal(err)
	}
	convertOnce(b, benchOptions(b, b.TempDir()))
	ratio.Report(b, "MiB", 256, ratio.PeakMiB(b, 0))
}
