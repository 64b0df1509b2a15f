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

// units are enough sectors to cross every boundary of the assembly.
const units = 5

func random(tb testing.TB, n int) []byte {
	tb.Helper()
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// cores returns both implementations of one key. It fails where the assembly
// should run but does not.
func cores(tb testing.TB, key []byte) map[string]core {
	tb.Helper()
	plain, err := newPortable(key)
	if err != nil {
		tb.Fatal(err)
	}
	chosen, err := newCore(key)
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
	for name, c := range cores(t, key) {
		for _, iv := range []uint64{0, 8, 248, 1<<32 - 8, 1 << 32, 1<<54 - 8} {
			plain, expected := random(t, units*SectorSize), make([]byte, units*SectorSize)
			for i := range units {
				unit := expected[i*SectorSize:][:SectorSize]
				want.Encrypt(unit, plain[i*SectorSize:][:SectorSize], iv+uint64(i)*8)
			}
			got := make([]byte, len(plain))
			c.encrypt(got, plain, iv)
			if !bytes.Equal(got, expected) {
				t.Errorf("%s, IV %d: encrypted otherwise than x/crypto", name, iv)
			}
			c.decrypt(got, got, iv)
			if !bytes.Equal(got, plain) {
				t.Errorf("%s, IV %d: decrypted something else", name, iv)
			}
			c.encrypt(got, got, iv)
			if !bytes.Equal(got, expected) {
				t.Errorf("%s, IV %d: in place is not like out of place", name, iv)
			}
		}
	}
}

// TestOffsetCountsIn512 holds the exported functions against x/crypto: a sector's
// IV is its offset in units of 512 bytes, and sectors do not depend on each other.
func TestOffsetCountsIn512(t *testing.T) {
	key := random(t, KeySize)
	c, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := reference.NewCipher(aes.NewCipher, key)
	if err != nil {
		t.Fatal(err)
	}
	for offset, iv := range map[int64]uint64{0: 0, 4096: 8, 3 << 40: 3 << 31, 1<<63 - 4096: 1<<54 - 8} {
		plain, expected := random(t, SectorSize), make([]byte, SectorSize)
		want.Encrypt(expected, plain, iv)
		got := make([]byte, SectorSize+1)
		c.Encrypt(got, plain, offset)
		if !bytes.Equal(got[:SectorSize], expected) || got[SectorSize] != 0 {
			t.Errorf("offset %d is not IV %d", offset, iv)
		}
		c.Decrypt(got, expected, offset)
		if !bytes.Equal(got[:SectorSize], plain) || got[SectorSize] != 0 {
			t.Errorf("offset %d does not decrypt", offset)
		}
	}
}

func TestKeysAreChecked(t *testing.T) {
	half := random(t, KeySize/2)
	for name, key := range map[string][]byte{
		"no key":      nil,
		"AES-128":     random(t, 32),
		"a byte more": random(t, KeySize+1),
		"same halves": append(bytes.Clone(half), half...),
	} {
		if _, err := New(key); !errors.Is(err, ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestMisusePanics(t *testing.T) {
	fresh := func() *Cipher {
		c, err := New(random(t, KeySize))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	wiped := fresh()
	wiped.Wipe()
	wiped.Wipe()
	b := make([]byte, 3*SectorSize)
	for name, misuse := range map[string]func(){
		"negative offset":  func() { fresh().Encrypt(b, b, -SectorSize) },
		"offset inside":    func() { fresh().Encrypt(b, b, 512) },
		"part of a sector": func() { fresh().Decrypt(b, b[:SectorSize+16], 0) },
		"short output":     func() { fresh().Decrypt(b[:SectorSize], b, 0) },
		"output behind":    func() { fresh().Encrypt(b[16:], b[:SectorSize], 0) },
		"output before":    func() { fresh().Encrypt(b, b[16:][:SectorSize], 0) },
		"after Wipe":       func() { wiped.Encrypt(b, b, 0) },
		"empty after Wipe": func() { wiped.Decrypt(nil, nil, 0) },
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
	fresh().Encrypt(b[SectorSize:], b[:SectorSize], 0) // side by side is no overlap
}

// TestConcurrentUse is for the race detector as well.
func TestConcurrentUse(t *testing.T) {
	c, err := New(random(t, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	plain := random(t, units*SectorSize)
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
