package idblock_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
)

// An ID block is signed by the ID key, which the author key signs in turn.
func ExampleSign() {
	idKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	authorKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	block := idblock.IDBlock{
		LaunchDigest: [48]byte{0xd0, 0x58, 0xbb}, // what measure.Launch.Digest returns
		Version:      idblock.Version,
		GuestSVN:     1,
		Policy:       idblock.DefaultPolicy,
	}
	auth, err := idblock.Sign(block, idKey, authorKey)
	if err != nil {
		log.Fatal(err)
	}
	data, err := auth.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ID block:", len(block.Bytes()), "bytes, authentication:", len(data), "bytes")

	// As the AMD-SP does before a launch:
	received, err := idblock.ParseAuthentication(data)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("as it was signed:", received.Verify(block))
	block.LaunchDigest[0] ^= 1
	fmt.Println("another guest is refused:", errors.Is(received.Verify(block), idblock.ErrSignature))
	// Output:
	// ID block: 96 bytes, authentication: 4096 bytes
	// as it was signed: <nil>
	// another guest is refused: true
}

// A policy is written as a number or by the names of its bits.
func ExampleParseGuestPolicy() {
	policy, err := idblock.ParseGuestPolicy("abi=0.31,smt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%#x allows SMT: %t\n", uint64(policy), policy.Has(idblock.PolicySMT))

	policy, err = idblock.ParseGuestPolicy("0xb0000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(policy)
	// Output:
	// 0x3001f allows SMT: true
	// abi=0.0,smt,debug
}
