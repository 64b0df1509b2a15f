//go:build !purego && amd64

package xts

import (
	"encoding/hex"
	"testing"

	"golang.org/x/sys/cpu"
)

const pureGo = false

// TestWipeOverwritesSchedule looks at the memory that a Cipher leaves behind.
func TestWipeOverwritesSchedule(t *testing.T) {
	c, err := New(random(t, KeySize), LargeSector)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := c.core.(*schedule)
	if !ok {
		t.Fatalf("core is %T", c.core)
	}
	if *s == (schedule{}) {
		t.Fatal("there was no schedule")
	}
	c.Wipe()
	if *s != (schedule{}) {
		t.Error("round keys are left")
	}
}

// TestOtherProcessors takes away what the assembly needs.
func TestOtherProcessors(t *testing.T) {
	for name, has := range map[string]*bool{"AES": &cpu.X86.HasAES, "AVX": &cpu.X86.HasAVX} {
		was := *has
		*has = false
		c, err := New(random(t, KeySize), LargeSector)
		*has = was
		if err != nil {
			t.Fatal(err)
		}
		if _, isPlain := c.core.(portable); !isPlain {
			t.Errorf("without %s: core is %T", name, c.core)
		}
		c.Wipe()
		if c.core != nil {
			t.Errorf("without %s: the keys are kept", name)
		}
	}
}

// TestKeyExpansion is the example of FIPS 197, appendix A.3: its last round key.
func TestKeyExpansion(t *testing.T) {
	key, err := hex.DecodeString("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	if err != nil {
		t.Fatal(err)
	}
	var keys roundKeys
	expand(&keys, (*[aesKey]byte)(key))
	const want = "fe4890d1e6188d0b046df344706c631e"
	if got := hex.EncodeToString(keys[14*blockSize:]); got != want {
		t.Errorf("last round key is %s, want %s", got, want)
	}
}
