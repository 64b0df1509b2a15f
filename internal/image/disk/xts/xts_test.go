package xts

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"errors"
	"testing"

	reference "golang.org/x/crypto/xts"
	"golang.org/x/sys/cpu"
)

// sizes are those that sectors may have.
var sizes = []int{SmallSector, LargeSector}

// units are enough sectors to cross every boundary of the assembly.
const units = 5

func random(tb testing.TB, n int) []byte {
	tb.Helper()
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// cores returns both implementations of one key and size of sectors. It fails where the assembly
// should run but does not.
func cores(tb testing.TB, key []byte, sectorSize int) map[string]core {
	tb.Helper()
	plain, err := newPortable(key, sectorSize)
	if err != nil {
		tb.Fatal(err)
	}
	chosen, err := newCore(key, sectorSize)
	if err != nil {
		tb.Fatal(err)
	}
	if _, isPlain := chosen.(portable); isPlain == (cpu.X86.HasAES && cpu.X86.HasAVX && !pureGo) {
		tb.Fatalf("chose %T", chosen)
	}
	return map[string]core{"plain Go": plain, "chosen": chosen}
}

// TestAgainstReference holds both implementations against x/crypto, in and out
// of place, at the first IVs and at those around carries.
func TestAgainstReference(t *testing.T) {
	key := random(t, KeySize)
	want, err := reference.NewCipher(aes.NewCipher, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		for name, c := range cores(t, key, size) {
			for _, iv := range []uint64{0, 8, 248, 1<<32 - 8, 1 << 32, 1<<54 - 8} {
				if err := sameAs(want, c, size, iv); err != nil {
					t.Errorf("%s, sectors of %d, IV %d: %v", name, size, iv, err)
				}
			}
		}
	}
}

// sameAs holds one implementation against x/crypto.
func sameAs(want *reference.Cipher, c core, size int, iv uint64) error {
	plain, expected := make([]byte, units*size), make([]byte, units*size)
	rand.Read(plain)
	for i := range units {
		want.Encrypt(expected[i*size:][:size], plain[i*size:][:size], iv+uint64(i*size/512))
	}
	got := make([]byte, len(plain))
	c.encrypt(got, plain, iv)
	if !bytes.Equal(got, expected) {
		return errors.New("encrypted otherwise than x/crypto")
	}
	c.decrypt(got, got, iv)
	if !bytes.Equal(got, plain) {
		return errors.New("decrypted something else")
	}
	c.encrypt(got, got, iv)
	if !bytes.Equal(got, expected) {
		return errors.New("in place is not like out of place")
	}
	return nil
}

// TestOffsetCountsIn512 holds the exported functions against x/crypto: a sector's
// IV is its offset in units of 512 bytes, and sectors do not depend on each other.
func TestOffsetCountsIn512(t *testing.T) {
	key := random(t, KeySize)
	want, err := reference.NewCipher(aes.NewCipher, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		c, err := New(key, size)
		if err != nil {
			t.Fatal(err)
		}
		offsets := map[int64]uint64{0: 0, 4096: 8, 3 << 40: 3 << 31, 1<<63 - 4096: 1<<54 - 8}
		if size == SmallSector {
			offsets[512], offsets[4096+1536], offsets[1<<63-512] = 1, 11, 1<<54-1
		}
		for offset, iv := range offsets {
			plain, expected := random(t, size), make([]byte, size)
			want.Encrypt(expected, plain, iv)
			got := make([]byte, size+1)
			c.Encrypt(got, plain, offset)
			if !bytes.Equal(got[:size], expected) || got[size] != 0 {
				t.Errorf("sectors of %d: offset %d is not IV %d", size, offset, iv)
			}
			c.Decrypt(got, expected, offset)
			if !bytes.Equal(got[:size], plain) || got[size] != 0 {
				t.Errorf("sectors of %d: offset %d does not decrypt", size, offset)
			}
		}
	}
}

func TestKeysAndSizesAreChecked(t *testing.T) {
	half := random(t, KeySize/2)
	for name, key := range map[string][]byte{
		"no key":      nil,
		"AES-128":     random(t, 32),
		"a byte more": random(t, KeySize+1),
		"same halves": append(bytes.Clone(half), half...),
	} {
		if _, err := New(key, LargeSector); !errors.Is(err, errKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, size := range []int{-512, 0, 16, 511, 1024, 2048, 8192} {
		if _, err := New(random(t, KeySize), size); !errors.Is(err, errSectorSize) {
			t.Errorf("sectors of %d bytes: got %v", size, err)
		}
	}
}

func TestMisusePanics(t *testing.T) {
	sized := func(size int) *Cipher {
		c, err := New(random(t, KeySize), size)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	fresh := func() *Cipher { return sized(LargeSector) }
	small := func() *Cipher { return sized(SmallSector) }
	wiped := fresh()
	wiped.Wipe()
	wiped.Wipe()
	b := make([]byte, 3*LargeSector)
	for name, misuse := range map[string]func(){
		"negative offset":           func() { fresh().Encrypt(b, b, -LargeSector) },
		"offset inside":             func() { fresh().Encrypt(b, b, 512) },
		"part of a sector":          func() { fresh().Decrypt(b, b[:LargeSector+16], 0) },
		"offset inside a small one": func() { small().Encrypt(b, b, 256) },
		"part of a small one":       func() { small().Decrypt(b, b[:LargeSector+16], 0) },
		"short output":              func() { fresh().Decrypt(b[:LargeSector], b, 0) },
		"output behind":             func() { fresh().Encrypt(b[16:], b[:LargeSector], 0) },
		"output before":             func() { fresh().Encrypt(b, b[16:][:LargeSector], 0) },
		"after Wipe":                func() { wiped.Encrypt(b, b, 0) },
		"empty after Wipe":          func() { wiped.Decrypt(nil, nil, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse()
		}()
	}
	fresh().Encrypt(nil, nil, 0)
	small().Encrypt(b[:3*512], b[:3*512], 512)
	fresh().Encrypt(b[LargeSector:], b[:LargeSector], 0) // side by side is no overlap
}

// TestConcurrentUse is for the race detector as well.
func TestConcurrentUse(t *testing.T) {
	c, err := New(random(t, KeySize), LargeSector)
	if err != nil {
		t.Fatal(err)
	}
	plain := random(t, units*LargeSector)
	want := make([]byte, len(plain))
	c.Encrypt(want, plain, 0)
	done := make(chan bool)
	for range 4 {
		go func() {
			same := true
			for range 50 {
				got := make([]byte, len(plain))
				c.Encrypt(got, plain, 0)
				same = same && bytes.Equal(got, want)
			}
			done <- same
		}()
	}
	for range 4 {
		if !<-done {
			t.Error("encrypted otherwise beside others")
		}
	}
}
