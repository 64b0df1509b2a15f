package asp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/asp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

const firmwareVector = "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"

// owner is who signs ID blocks.
type owner struct{ id, author *ecdsa.PrivateKey }

func newOwner(t *testing.T) owner {
	t.Helper()
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return owner{keys[0], keys[1]}
}

// sign puts a signed ID block into a launch.
func (o owner) sign(t *testing.T, in *asp.Input, block idblock.IDBlock) {
	t.Helper()
	auth, err := idblock.Sign(block, o.id, o.author)
	if err != nil {
		t.Fatal(err)
	}
	if in.IDAuth, err = auth.Bytes(); err != nil {
		t.Fatal(err)
	}
	in.IDBlock = block.Bytes()
}

// input returns what is launched. Its readers can be read once.
func input(t *testing.T) asp.Input {
	t.Helper()
	vcpuType, err := measure.ParseVCPUType("EPYC-Milan")
	if err != nil {
		t.Fatal(err)
	}
	return asp.Input{
		Firmware: vectors.MustRead(t, firmwareVector),
		Kernel:   strings.NewReader("kernel"), Initrd: strings.NewReader("initrd"), Cmdline: "root=/dev/mapper/cryptroot",
		VCPUs: measure.VCPUs{Count: 2, Type: vcpuType}, Policy: idblock.DefaultPolicy,
	}
}

func block(digest measure.Digest) idblock.IDBlock {
	return idblock.IDBlock{
		LaunchDigest: digest, FamilyID: [16]byte{1}, ImageID: [16]byte{2}, Version: idblock.Version,
		GuestSVN: 3, Policy: idblock.DefaultPolicy,
	}
}

func chip() sim.Chip { return sim.NewChip(snp.Milan, "a", snp.TCB{SNP: 8}) }

// expected returns the digest of input, as measure computes it.
func expected(t *testing.T) measure.Digest {
	t.Helper()
	in := input(t)
	firmware, err := measure.ParseFirmware(in.Firmware)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := measure.HashKernel(in.Kernel, in.Initrd, in.Cmdline)
	if err != nil {
		t.Fatal(err)
	}
	launch, err := measure.New(measure.Config{Firmware: firmware, Kernel: &hashes, GuestFeatures: 1})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := launch.Digest(in.VCPUs)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestLaunchAndReport(t *testing.T) {
	amd, o, digest := simtest.AMD(t), newOwner(t), expected(t)
	in := input(t)
	in.HostData = [32]byte{31: 9}
	o.sign(t, &in, block(digest))
	guest, err := asp.Launch(amd, chip(), in)
	if err != nil {
		t.Fatal(err)
	}
	response, err := guest.Report(aspport.Request{VMPL: 2, ReportData: [64]byte{7}})
	if err != nil {
		t.Fatal(err)
	}
	r, table, err := snp.SplitExtended(append(response.Report, response.CertTable...))
	if err != nil {
		t.Fatal(err)
	}
	idDigest, idErr := idblock.KeyDigest(&o.id.PublicKey)
	authorDigest, authorErr := idblock.KeyDigest(&o.author.PublicKey)
	if idErr != nil || authorErr != nil {
		t.Fatal(idErr, authorErr)
	}
	for name, ok := range map[string]bool{
		"MEASUREMENT": r.Measurement == digest && guest.Measurement() == digest, "VMPL": r.VMPL == 2,
		"REPORT_DATA": r.ReportData == [64]byte{7}, "HOST_DATA": r.HostData == [32]byte{31: 9}, "FAMILY_ID": r.FamilyID == [16]byte{1}, "IMAGE_ID": r.ImageID == [16]byte{2},
		"GUEST_SVN": r.GuestSVN == 3, "POLICY": r.Policy == 0x30000, "ID_KEY_DIGEST": r.IDKeyDigest == idDigest,
		"AUTHOR_KEY_DIGEST": r.AuthorKeyDigest == authorDigest && r.AuthorKeyEn, "CHIP_ID": r.ChipID == chip().ID,
		"REPORT_ID": r.ReportID == guest.ReportID() && r.ReportID != [32]byte{},
	} {
		if !ok {
			t.Errorf("%s of the report is wrong: %+v", name, r)
		}
	}
	checkChain(t, amd, r, table)
}

// checkChain lets the verifier of the service decide.
func checkChain(t *testing.T, amd *sim.AMD, r *snp.Report, table *snp.CertTable) {
	t.Helper()
	ark := amd.Line(snp.Milan).ARK.Certificate
	if !bytes.Equal(table.ARK, ark.Raw) {
		t.Error("the table has another ARK")
	}
	roots, err := attest.NewRoots([]*x509.Certificate{ark})
	if err != nil {
		t.Fatal(err)
	}
	chain := attest.Chain{VEK: table.VCEK, ASK: table.ASK, ARK: table.ARK}
	if _, err := attest.NewVerifier(roots).Verify(r, chain, time.Now()); err != nil {
		t.Error(err)
	}
}

// TestRefusedLaunches changes one thing of a good launch at a time. Forced, each
// of them starts and says in its report what really booted.
func TestRefusedLaunches(t *testing.T) {
	amd, o, digest := simtest.AMD(t), newOwner(t), expected(t)
	for _, tc := range []struct {
		name   string
		change func(*asp.Input)
		want   error
		forced string // the digest then, or nothing where even force cannot help
	}{
		{"kernel", func(in *asp.Input) { in.Kernel = strings.NewReader("Kernel") }, asp.ErrBadMeasurement, "other"},
		{"initrd", func(in *asp.Input) { in.Initrd = strings.NewReader("initrd ") }, asp.ErrBadMeasurement, "other"},
		{"command line", func(in *asp.Input) { in.Cmdline += " init=/bin/sh" }, asp.ErrBadMeasurement, "other"},
		{"firmware", func(in *asp.Input) { in.Firmware = bytes.Clone(in.Firmware); in.Firmware[0x1000] ^= 1 }, asp.ErrBadMeasurement, "other"},
		{"vCPUs", func(in *asp.Input) { in.VCPUs.Count++ }, asp.ErrBadMeasurement, "other"},
		{"debug policy", func(in *asp.Input) { in.Policy |= idblock.PolicyDebug }, asp.ErrPolicyFailure, "same"},
		{"reserved policy", func(in *asp.Input) { in.Policy = 0 }, asp.ErrPolicyFailure, ""},
		{"ID block of another digest", func(in *asp.Input) { o.sign(t, in, block(measure.Digest{1})) }, asp.ErrBadMeasurement, "same"},
		{"changed ID block", func(in *asp.Input) { in.IDBlock[0x30] ^= 1 }, asp.ErrBadSignature, "same"},
		{"signature of another block", func(in *asp.Input) {
			other := asp.Input{}
			o.sign(t, &other, block(measure.Digest{1}))
			in.IDAuth = other.IDAuth
		}, asp.ErrBadSignature, "same"},
		{"ID key that the author did not sign", func(in *asp.Input) {
			other, foreign := asp.Input{}, owner{newOwner(t).id, o.author}
			foreign.sign(t, &other, block(digest))
			copy(other.IDAuth[0x680:0x710], in.IDAuth[0x680:0x710]) // ID_KEY_SIG of the real ID key
			in.IDAuth = other.IDAuth
		}, asp.ErrBadSignature, "same"},
		{"short ID block", func(in *asp.Input) { in.IDBlock = in.IDBlock[1:] }, asp.ErrInvalidParam, ""},
		{"no authentication", func(in *asp.Input) { in.IDAuth = nil }, asp.ErrInvalidParam, ""},
		{"no firmware", func(in *asp.Input) { in.Firmware = nil }, measure.ErrFirmwareSize, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, force := range []bool{false, true} {
				in := input(t)
				o.sign(t, &in, block(digest))
				tc.change(&in)
				in.Force = force
				guest, err := asp.Launch(amd, chip(), in)
				switch {
				case force && tc.forced != "":
					if err != nil {
						t.Fatal(err)
					}
					if (guest.Measurement() == digest) != (tc.forced == "same") {
						t.Errorf("by force: measurement %s, want %s", guest.Measurement(), tc.forced)
					}
				case !errors.Is(err, tc.want):
					t.Errorf("force %v: got %v, want %v", force, err, tc.want)
				}
			}
		})
	}
}

// TestWithoutIDBlock: a host may launch so, and the report shows it.
func TestWithoutIDBlock(t *testing.T) {
	guest, err := asp.Launch(simtest.AMD(t), chip(), input(t))
	if err != nil {
		t.Fatal(err)
	}
	response, err := guest.Report(aspport.Request{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := snp.ParseReport(response.Report)
	if err != nil || r.IDKeyDigest != [48]byte{} || r.AuthorKeyEn || r.Measurement != expected(t) {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestReportIDs(t *testing.T) {
	seen := make(map[[32]byte]bool)
	for range 2 {
		guest, err := asp.Launch(simtest.AMD(t), chip(), input(t))
		if err != nil {
			t.Fatal(err)
		}
		seen[guest.ReportID()] = true
	}
	if len(seen) != 2 {
		t.Error("two launches have one REPORT_ID")
	}
}

// TestServe asks over the socket, and breaks the protocol in between.
func TestServe(t *testing.T) {
	guest, err := asp.Launch(simtest.AMD(t), chip(), input(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, path, err := asp.Listen(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info, err)
	}
	served := make(chan error, 1)
	go func() { served <- guest.Serve(ctx, l) }()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := aspport.Request{ReportData: [64]byte{9}}
	for _, message := range []struct {
		bytes []byte
		want  aspport.Status
	}{
		{request.Bytes(), aspport.StatusSuccess},
		{make([]byte, aspport.RequestSize), aspport.StatusInvalidParam},
		{request.Bytes(), aspport.StatusSuccess},
	} {
		if _, err := conn.Write(message.bytes); err != nil {
			t.Fatal(err)
		}
		got, err := aspport.ReadResponse(conn)
		if err != nil || got.Status != message.want {
			t.Errorf("got status %#x, %v", got.Status, err)
		}
		if got.Status == aspport.StatusSuccess && !bytes.Contains(got.Report, request.ReportData[:]) {
			t.Error("the report is not of this request")
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives the simulated AMD-SP")
	}
}
