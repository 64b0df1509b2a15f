package docs_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// values are the values of the worked example by their names.
type values map[string][]byte

// readValues reads the blocks of kind hex on a page. A line without indentation
// names a value, the others are its bytes: digits, {another value}, and behind a
// semicolon nothing that counts.
func readValues(t *testing.T, text string) values {
	t.Helper()
	v := values{}
	for _, block := range regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllStringSubmatch(text, -1) {
		name := ""
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), ";")
			if !strings.HasPrefix(line, " ") {
				name = strings.TrimSpace(line)
				if _, twice := v[name]; twice {
					t.Fatalf("%q is there twice", name)
				}
				v[name] = []byte{}
				continue
			}
			for _, word := range strings.Fields(regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(line, func(inner string) string {
				part, known := v[strings.Trim(inner, "{}")]
				if !known {
					t.Fatalf("%s in %q comes before its value", inner, name)
				}
				return " " + hex.EncodeToString(part)
			})) {
				digits, err := hex.DecodeString(word)
				if err != nil {
					t.Fatalf("%q: %v", name, err)
				}
				v[name] = append(v[name], digits...)
			}
		}
	}
	return v
}

// readJSON reads the blocks of kind json on a page, without spaces.
func readJSON(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(text, -1) {
		var out bytes.Buffer
		if err := json.Compact(&out, []byte(block[1])); err != nil {
			t.Fatal(err)
		}
		all = append(all, out.String())
	}
	return all
}

// TestProtocolExample computes everything in the worked example of
// docs/protocol.md that can be computed. What is random is opened and verified.
func TestProtocolExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Worked example\n")
	e := &example{t, readValues(t, text), values{}}
	e.image()
	data, request := e.request()
	grant := e.grant(data)
	for name, want := range e.want {
		if got := e.page[name]; !bytes.Equal(got, want) {
			t.Errorf("%s: the page has\n%x, want\n%x", name, got, want)
		}
	}
	if got, want := slices.Sorted(maps.Keys(e.page)), slices.Sorted(maps.Keys(e.want)); !slices.Equal(got, want) {
		t.Errorf("the page has the values %q, want %q", got, want)
	}
	messages := readJSON(t, text)
	if len(messages) != 3 {
		t.Fatalf("%d messages, want challenge, request and grant", len(messages))
	}
	for i, message := range []any{wire.Challenge{Nonce: e.page["nonce"], ExpiresIn: 60}, request, grant} {
		want, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if messages[i] != string(want) {
			t.Errorf("message %d: the page has\n%s, want\n%s", i, messages[i], want)
		}
	}
}

// example is the worked example: what the page says, and what it has to say.
type example struct {
	t    *testing.T
	page values
	want values
}

// exampleImage is the image of the example.
func exampleImage() wire.UUID {
	return wire.UUID{0x2f, 0x9d, 0x1c, 0x5e, 0x7b, 0x3a, 0x4d, 0x80, 0x91, 0x26, 0x5a, 0xc4, 0x0e, 0x6f, 0x8b, 0x17}
}

// exampleInstance is the instance of the example.
func exampleInstance() wire.UUID {
	return wire.UUID{0xb8, 0x1e, 0x60, 0xd4, 0x23, 0xc7, 0x4f, 0x5a, 0x8d, 0x19, 0x7e, 0x02, 0xc4, 0xa9, 0xf6, 0x53}
}

// bootKey is the key of the example's boot.
func bootKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x77}, 32)) }

// key returns the private key whose seed is one byte over and over.
func (e *example) key(b byte) *seal.PrivateKey {
	e.t.Helper()
	key, err := seal.ParsePrivateKey(bytes.Repeat([]byte{b}, seal.PrivateKeySize))
	if err != nil {
		e.t.Fatal(err)
	}
	return key
}

// opened takes a sealed value from the page, since sealing is random, and wants
// the key and the info to open it to what it has to be.
func (e *example) opened(name string, key *seal.PrivateKey, info, want []byte) {
	e.t.Helper()
	e.want[name] = e.page[name]
	if got, err := key.Open(info, e.page[name]); err != nil || !bytes.Equal(got, want) {
		e.t.Errorf("%s opens to %x, %v", name, got, err)
	}
}

// image is what the converter makes.
func (e *example) image() {
	image, vmk := exampleImage(), make([]byte, wire.VMKSize)
	for i := range vmk {
		vmk[i] = byte(i)
	}
	commitment := wire.VMKCommitment(image, vmk)
	maps.Copy(e.want, values{
		"image UUID": image[:], "VMK": vmk,
		"unsealing private key": bytes.Repeat([]byte{0x11}, 32), "ingestion private key": bytes.Repeat([]byte{0x22}, 32),
		"unsealing public key": e.key(0x11).Public().Bytes(), "ingestion public key": e.key(0x22).Public().Bytes(),
		"info of the sealed VMK": wire.SealedVMKInfo(image), "info of the unsealing key": wire.UnsealingKeyInfo(image),
		"commitment": commitment[:], "transcript of the commitment": e.page["transcript of the commitment"],
	})
	if sha256.Sum256(e.page["transcript of the commitment"]) != commitment {
		e.t.Error("the transcript of the commitment has another hash than the commitment")
	}
	e.opened("sealed VMK", e.key(0x11), wire.SealedVMKInfo(image), vmk)
	e.opened("sealed unsealing key", e.key(0x22), wire.UnsealingKeyInfo(image), bytes.Repeat([]byte{0x11}, 32))
}

// request is what the agent asks, and its report.
func (e *example) request() ([64]byte, wire.UnlockRequest) {
	mac := hmac.New(sha256.New, bytes.Repeat([]byte{0x33}, 32))
	mac.Write(e.page["input of the nonce's HMAC"])
	digest := sha256.Sum256(e.page["sealed VMK"])
	instance, shown := exampleInstance(), wire.InstanceDisk{}
	binding := wire.UnlockBinding{
		Nonce: e.page["nonce"], PublicKey: e.key(0x44).Public().Bytes(), BootKey: bootKey().Public().(ed25519.PublicKey),
		Image: exampleImage(), Instance: instance, SealedVMK: digest, Disk: shown.Hash(),
	}
	data, hostData := binding.ReportData(), wire.HostData(instance)
	maps.Copy(e.want, values{
		"nonce key": bytes.Repeat([]byte{0x33}, 32), "input of the nonce's HMAC": e.page["input of the nonce's HMAC"],
		"nonce":                 mac.Sum(bytes.Clone(bytes.TrimPrefix(e.page["input of the nonce's HMAC"], []byte("snpguard/v1/nonce\x00")))),
		"ephemeral private key": bytes.Repeat([]byte{0x44}, 32),
		"ephemeral public key":  e.key(0x44).Public().Bytes(),
		"boot private key":      bootKey().Seed(), "boot public key": binding.BootKey, "instance UUID": instance[:], "HOST_DATA": hostData[:],
		"transcript of the disk": e.page["transcript of the disk"], "hash of the disk": binding.Disk[:],
		"hash of the sealed VMK": digest[:], "report data": data[:],
		"transcript of the report data": e.page["transcript of the report data"], "report": e.page["report"],
	})
	if sha512.Sum512(e.page["transcript of the report data"]) != data {
		e.t.Error("the transcript of the report data has another hash than the report data")
	}
	if sha256.Sum256(e.page["transcript of the disk"]) != binding.Disk {
		e.t.Error("the transcript of the disk has another hash than the disk")
	}
	e.report(data)
	return data, wire.UnlockRequest{
		Report: e.page["report"], Nonce: e.page["nonce"], PublicKey: binding.PublicKey, BootKey: binding.BootKey, SealedVMK: e.page["sealed VMK"],
	}
}

// report wants the page's report to be genuine and to carry the report data.
func (e *example) report(data [64]byte) {
	e.t.Helper()
	amd, at := simtest.AMD(e.t), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	line := amd.Line(snp.Milan)
	vek, err := amd.At(at).VCEK(exampleChip())
	if err != nil {
		e.t.Fatal(err)
	}
	roots, err := attest.NewRoots([]*x509.Certificate{line.ARK.Certificate})
	if err != nil {
		e.t.Fatal(err)
	}
	report, err := snp.ParseReport(e.page["report"])
	if err != nil {
		e.t.Fatal(err)
	}
	chain := attest.Chain{VEK: vek.Certificate.Raw, ASK: line.ASK.Certificate.Raw, ARK: line.ARK.Certificate.Raw}
	if _, err := attest.NewVerifier(roots).Verify(report, chain, at); err != nil {
		e.t.Errorf("the report is not genuine: %v", err)
	}
	if report.ReportData != data || report.FamilyID != exampleImage() || report.HostData != wire.HostData(exampleInstance()) {
		e.t.Errorf("the report is of image %x, of host data %x, and has the data %x", report.FamilyID, report.HostData, report.ReportData)
	}
}

// exampleChip is the simulated chip of the example.
func exampleChip() sim.Chip {
	return sim.NewChip(snp.Milan, "example", snp.TCB{BootLoader: 4, SNP: 24, Microcode: 219})
}

// grant is what the service answers.
func (e *example) grant(data [64]byte) wire.Grant {
	identity := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x55}, ed25519.SeedSize))
	enc, ciphertext := e.page["enc"], e.page["ciphertext"]
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	grant := wire.Grant{Time: now, State: wire.StateNew, Instance: exampleInstance(), Enc: enc, Ciphertext: ciphertext}
	transcript := wire.GrantTranscript(data, &grant)
	grant.Signature = ed25519.Sign(identity, transcript)
	maps.Copy(e.want, values{
		"identity private key": identity.Seed(), "identity public key": identity.Public().(ed25519.PublicKey),
		"info of the grant": wire.GrantInfo(data), "time": binary.BigEndian.AppendUint64(nil, uint64(now)), "enc": enc, "ciphertext": ciphertext,
		"transcript of the grant": transcript, "signature": grant.Signature,
	})
	sealed := slices.Concat(enc, ciphertext)
	if vmk, err := e.key(0x44).Open(wire.GrantInfo(data), sealed); err != nil || !bytes.Equal(vmk, e.page["VMK"]) {
		e.t.Errorf("the grant opens to %x, %v", vmk, err)
	}
	return grant
}
