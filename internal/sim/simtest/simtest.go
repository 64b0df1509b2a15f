// Package simtest gives tests simulated AMDs whose keys are committed beside it,
// since making RSA-4096 keys takes seconds. The keys are public and worthless.
package simtest

import (
	_ "embed"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

//go:embed testdata/WORTHLESS-amd.json
var amd []byte

//go:embed testdata/WORTHLESS-impostor.json
var impostor []byte

// AMD returns the simulated AMD that tests trust.
func AMD(tb testing.TB) *sim.AMD {
	tb.Helper()
	return parse(tb, amd)
}

// Impostor returns a second one with the same names and other keys, which no
// test trusts.
func Impostor(tb testing.TB) *sim.AMD {
	tb.Helper()
	return parse(tb, impostor)
}

func parse(tb testing.TB, data []byte) *sim.AMD {
	tb.Helper()
	a, err := sim.Parse(data)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}
