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
// bytes: a small sector, and the beginning of a large one.
func TestIEEE1619(t *testing.T) {
	file, err := os.ReadFile("testdata/ieee1619.txt")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(vectorKey1 + vectorKey2)
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, LargeSector)
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
		for _, size := range sizes {
			for name, c := range cores(t, key, size) {
				got := make([]byte, size)
				c.encrypt(got, plain[:size], iv)
				if !bytes.Equal(got[:512], want) {
					t.Errorf("vector %d, %s, sectors of %d: encrypted otherwise", number, name, size)
				}
				c.decrypt(got, got, iv)
				if !bytes.Equal(got, plain[:size]) {
					t.Errorf("vector %d, %s, sectors of %d: decrypted otherwise", number, name, size)
				}
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
	key, plain := random(t, KeySize), random(t, 64*LargeSector)
	for _, size := range sizes {
		for _, offset := range []int64{0, 16 << 20, 1<<63 - 64*LargeSector} {
			cmd := exec.Command(program, hex.EncodeToString(key), strconv.FormatInt(offset/512, 10), strconv.Itoa(size))
			cmd.Stdin = bytes.NewReader(plain)
			want, err := cmd.Output()
			if err != nil || len(want) != len(plain) {
				t.Fatalf("%d bytes of OpenSSL: %v", len(want), err)
			}
			for name, core := range cores(t, key, size) {
				c, got := &Cipher{core, size}, make([]byte, len(plain))
				c.Encrypt(got, plain, offset)
				if !bytes.Equal(got, want) {
					t.Errorf("%s, sectors of %d, offset %d: encrypted otherwise than OpenSSL", name, size, offset)
				}
				c.Decrypt(got, want, offset)
				if !bytes.Equal(got, plain) {
					t.Errorf("%s, sectors of %d, offset %d: decrypted something else", name, size, offset)
				}
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
		for _, size := range sizes {
			plain := bytes.Repeat(pattern, 3*size)[:3*size]
			c := cores(t, key, size)
			a, b := make([]byte, len(plain)), make([]byte, len(plain))
			c["plain Go"].encrypt(a, plain, iv)
			c["chosen"].encrypt(b, plain, iv)
			if !bytes.Equal(a, b) {
				t.Errorf("sectors of %d: encrypted differently", size)
			}
			c["plain Go"].decrypt(b, b, iv)
			c["chosen"].decrypt(a, a, iv)
			if !bytes.Equal(a, plain) || !bytes.Equal(b, plain) {
				t.Errorf("sectors of %d: not decrypted", size)
			}
		}
	})
}

// TestWorkedExample computes what docs/disk-format.md shows.
func TestWorkedExample(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/disk-format.md")
	if err != nil {
		t.Fatal(err)
	}
	large, small := workedExample(t, LargeSector), workedExample(t, SmallSector)
	for row := range large {
		want := fmt.Sprintf("| %s | %s | %s |\n", large[row][0], large[row][1], small[row][1])
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/disk-format.md lacks %s", want)
		}
	}
}

// workedExample finds one byte of the payload: what is known of it, and its value.
func workedExample(t *testing.T, size int) [][2]string {
	t.Helper()
	vmk := make([]byte, KeySize)
	for i := range vmk {
		vmk[i] = byte(i)
	}
	c, err := New(vmk, size)
	if err != nil {
		t.Fatal(err)
	}
	const at = 1_000_000 // of the byte, from the payload's start
	offset := at / size * size
	sector := make([]byte, size)
	c.Encrypt(sector, sector, int64(offset))
	block := (at - offset) / blockSize
	return [][2]string{
		{"sectors of", strconv.Itoa(size)},
		{"sector's offset in the payload", strconv.Itoa(offset)},
		{"sector's IV", strconv.Itoa(offset / ivUnit)},
		{"block in the sector", strconv.Itoa(block)},
		{"first 16 bytes of the sector", fmt.Sprintf("`%x`", sector[:blockSize])},
		{"the byte's block", fmt.Sprintf("`%x`", sector[block*blockSize:][:blockSize])},
	}
}
