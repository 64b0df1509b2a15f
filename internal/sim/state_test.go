package sim_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

func TestStateRoundTrip(t *testing.T) {
	amd := simtest.AMD(t)
	data, err := amd.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("SIMULATED AMD: throw-away keys")) {
		t.Error("the state does not say what it is")
	}
	again, err := sim.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range snp.Products() {
		if !again.Line(p).ARK.Certificate.Equal(amd.Line(p).ARK.Certificate) || !again.Line(p).ASK.Key.Equal(amd.Line(p).ASK.Key) {
			t.Errorf("%s: authorities differ", p)
		}
	}
	chip := sim.NewChip(snp.Turin, "a", tcb(snp.Turin))
	a, errA := amd.VCEK(chip)
	b, errB := again.VCEK(chip)
	if errA != nil || errB != nil || !a.Key.Equal(b.Key) {
		t.Errorf("VCEKs differ: %v, %v", errA, errB)
	}
}

func TestParseBadState(t *testing.T) {
	data, err := simtest.AMD(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	other, err := simtest.Impostor(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	// The first key of one AMD in front of the certificates of the other.
	firstKey := func(b []byte) string { return strings.SplitN(strings.SplitN(string(b), `"key": "`, 2)[1], `"`, 2)[0] }
	for name, bad := range map[string]string{
		"empty":           "",
		"no product line": `{"format":1,"seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
		"later format":    strings.Replace(string(data), `"format": 1`, `"format": 2`, 1),
		"short seed":      `{"format":1,"seed":"AAAA"}`,
		"unknown product": strings.Replace(string(data), `"Milan": {`, `"Rome": {`, 1),
		"foreign key":     strings.Replace(string(data), firstKey(data), firstKey(other), 1),
	} {
		if _, err := sim.Parse([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// New makes real keys, for one product line only since that takes seconds.
func TestNew(t *testing.T) {
	amd, err := sim.New(snp.Genoa)
	if err != nil {
		t.Fatal(err)
	}
	line := amd.Line(snp.Genoa)
	checkAuthority(t, line.ASK.Certificate, simtest.AMD(t).Line(snp.Genoa).ASK.Certificate)
	if err := line.ASK.Certificate.CheckSignatureFrom(line.ARK.Certificate); err != nil {
		t.Error(err)
	}
	if line.ARK.Key.Equal(simtest.AMD(t).Line(snp.Genoa).ARK.Key) {
		t.Error("a new AMD has an old key")
	}
	if amd.Line(snp.Milan) != nil {
		t.Error("Milan was not asked for")
	}
}
