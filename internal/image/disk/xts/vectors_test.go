package xts

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	vectorKey1 = "2718281828459045235360287471352662497757247093699959574966967627"
	vectorKey2 = "3141592653589793238462643383279502884197169399375105820974944592"
)

// TestIEEE1619 runs the vectors of the standard. Their data units have 512
// bytes; those are also the beginning of a longer unit.
func TestIEEE1619(t *testing.T) {
	file, err := os.ReadFile("testdata/ieee1619.txt")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(vectorKey1 + vectorKey2)
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, SectorSize)
	for i := range plain {
		plain[i] = byte(i)
	}
	ran := 0
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var number int
		var iv uint64
		var want []byte
		if _, err := fmt.Sscanf(line, "%d %x %x", &number, &iv, &want); err != nil || len(want) != 512 {
			t.Fatalf("%.20s: %d bytes, %v", line, len(want), err)
		}
		for name, c := range cores(t, key) {
			got := make([]byte, SectorSize)
			c.encrypt(got, plain, iv)
			if !bytes.Equal(got[:512], want) {
				t.Errorf("vector %d, %s: encrypted otherwise", number, name)
			}
			c.decrypt(got, got, iv)
			if !bytes.Equal(got, plain) {
				t.Errorf("vector %d, %s: decrypted otherwise", number, name)
			}
		}
		ran++
	}
	if ran != 5 {
		t.Errorf("ran %d vectors", ran)
	}
}

// TestOpenSSL compares with OpenSSL's library, by a small program that is
// compiled on the spot.
func TestOpenSSL(t *testing.T) {
	program := filepath.Join(t.TempDir(), "openssl-xts")
	out, err := exec.Command("gcc", "-o", program, "testdata/openssl.c", "-lcrypto").CombinedOutput()
	if err != nil {
		t.Fatalf("compile testdata/openssl.c (Debian packages gcc, libc6-dev, libssl-dev): %v\n%s", err, out)
	}
	key, plain := random(t, KeySize), random(t, 64*SectorSize)
	for _, offset := range []int64{0, 16 << 20, 1<<63 - 64*SectorSize} {
		cmd := exec.Command(program, hex.EncodeToString(key), strconv.FormatInt(offset/512, 10), strconv.Itoa(SectorSize))
		cmd.Stdin = bytes.NewReader(plain)
		want, err := cmd.Output()
		if err != nil || len(want) != len(plain) {
			t.Fatalf("%d bytes of OpenSSL: %v", len(want), err)
		}
		for name, core := range cores(t, key) {
			c, got := &Cipher{core}, make([]byte, len(plain))
			c.Encrypt(got, plain, offset)
			if !bytes.Equal(got, want) {
				t.Errorf("%s, offset %d: encrypted otherwise than OpenSSL", name, offset)
			}
			c.Decrypt(got, want, offset)
			if !bytes.Equal(got, plain) {
				t.Errorf("%s, offset %d: decrypted something else", name, offset)
			}
		}
	}
}

// FuzzCores wants plain Go and assembly to agree, and each to undo the other.
func FuzzCores(f *testing.F) {
	f.Add(make([]byte, KeySize), []byte{0}, uint64(0))
	f.Add(bytes.Repeat([]byte{0xFF}, KeySize), []byte("data"), uint64(1)<<54-8)
	f.Add([]byte(vectorKey1), []byte(vectorKey2), uint64(0xFF))
	f.Fuzz(func(t *testing.T, key, pattern []byte, iv uint64) {
		if len(key) != KeySize || len(pattern) == 0 {
			return
		}
		plain := bytes.Repeat(pattern, 2*SectorSize)[:2*SectorSize]
		c := cores(t, key)
		a, b := make([]byte, len(plain)), make([]byte, len(plain))
		c["plain Go"].encrypt(a, plain, iv)
		c["chosen"].encrypt(b, plain, iv)
		if !bytes.Equal(a, b) {
			t.Error("encrypted differently")
		}
		c["plain Go"].decrypt(b, b, iv)
		c["chosen"].decrypt(a, a, iv)
		if !bytes.Equal(a, plain) || !bytes.Equal(b, plain) {
			t.Error("not decrypted")
		}
	})
}

// TestWorkedExample computes what docs/disk-format.md shows.
func TestWorkedExample(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/disk-format.md")
	if err != nil {
		t.Fatal(err)
	}
	vmk := make([]byte, KeySize)
	for i := range vmk {
		vmk[i] = byte(i)
	}
	const at = 1_000_000 // of the byte, from the payload's start
	const offset = at / SectorSize * SectorSize
	c, err := New(vmk)
	if err != nil {
		t.Fatal(err)
	}
	sector := make([]byte, SectorSize)
	c.Encrypt(sector, sector, offset)
	block := (at - offset) / blockSize
	for _, want := range []string{
		fmt.Sprintf("| sector's offset in the payload | %d |", offset),
		fmt.Sprintf("| sector's IV | %d |", offset/ivUnit),
		fmt.Sprintf("| block in the sector | %d |", block),
		fmt.Sprintf("| first 16 bytes of the sector | `%x` |", sector[:blockSize]),
		fmt.Sprintf("| the byte's block | `%x` |", sector[block*blockSize:][:blockSize]),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/disk-format.md lacks %s", want)
		}
	}
}
