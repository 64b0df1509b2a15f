package api_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

func releasePath(r wire.Registered) string {
	return fmt.Sprintf("/v1/images/%s/releases/%s", r.Image.ID, r.Release.ID)
}

// completed is a report policy as the service keeps it.
func completed(t *testing.T, document string) string {
	t.Helper()
	p, err := attest.ParsePolicy([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	p.Complete()
	whole, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(whole)
}

// TestPolicyIsShownWhole wants an image that names no policy, and one whose policy
// says little, to show what is in force.
func TestPolicyIsShownWhole(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct{ given, want string }{
		"none":   {"", `"products":["Milan","Genoa","Turin"],"signing_keys":["VCEK"],"tcb_floors":{"milan":{"reported":{"fmc":0,"bootloader":4,"tee":0,"snp":24,"microcode":219}`},
		"lines":  {`{"version":1,"products":["Genoa"]}`, `"products":["Genoa"],"signing_keys":["VCEK"],"tcb_floors":{"genoa":{"reported":{"fmc":0,"bootloader":10,"tee":0,"snp":23,"microcode":84}`},
		"opted":  {`{"version":1,"tcb_floors":"none"}`, `"tcb_floors":"none"}`},
		"leased": {`{"version":1,"signing_keys":["VLEK"]}`, `"signing_keys":["VLEK"],"tcb_floors":{"milan"`},
	} {
		a := w.register(w.newUpload(name).change(func(r *wire.Registration) { r.Policy = []byte(tc.given) }), "/v1/images").want(201)
		if r := into[wire.Registered](a); !strings.Contains(string(r.Image.Policy), tc.want) {
			t.Errorf("%s: shows %s", name, r.Image.Policy)
		}
	}
}

func TestRegister(t *testing.T) {
	w := newWorld(t)
	u := w.newUpload("Debian 13 ♥").change(func(r *wire.Registration) {
		r.Labels = map[string]string{"team": "platform"}
		r.GuestPolicy, r.GuestSVN = "abi=1.55,smt", 7
		r.Policy = []byte(`{"version": 1, "min_guest_svn": 7}`)
	})
	a := w.register(u, "/v1/images").want(201)
	r := into[wire.Registered](a)
	if got := a.header.Get("Location"); got != releasePath(r) {
		t.Errorf("Location: %s", got)
	}
	if r.Image.Name != "Debian 13 ♥" || !r.Image.Enabled || r.Image.Labels["team"] != "platform" || r.Image.Simulated || r.Image.Releases != nil {
		t.Errorf("image %+v", r.Image)
	}
	if r.Release.GuestPolicy != "0x30137" || r.Release.GuestSVN != 7 || r.Release.Revision != 1 || r.Release.State != wire.StateApproved ||
		string(r.Image.Policy) != completed(t, `{"version":1,"min_guest_svn":7}`) || r.Image.Revision != 1 || r.Image.LaunchLimit != (wire.LaunchLimit{}) ||
		string(r.Release.Policy) != "null" || r.Release.ApprovedAt == nil || r.Release.Cmdline != "root=/dev/mapper/cryptroot" {
		t.Errorf("release %+v", r.Release)
	}
	if len(r.Release.Artifacts) != 3 || w.files.left() != 3 {
		t.Errorf("artifacts %+v, %d files", r.Release.Artifacts, w.files.left())
	}
	w.checkMeasurements(r)
	record := w.lastAudit()
	if record.Reason != "image.registered" || record.ImageID != r.Image.ID.String() || record.ReleaseID != r.Release.ID.String() ||
		!strings.Contains(record.Actor, "(register)") || record.RequestID != a.header.Get("X-Request-Id") || record.Details["name"] != "Debian 13 ♥" {
		t.Errorf("recorded %+v", record)
	}
}

// checkMeasurements computes the launch digests again and checks the ID blocks as
// the AMD-SP does.
func (w *world) checkMeasurements(r wire.Registered) {
	w.t.Helper()
	parsed, err := measure.ParseFirmware(firmware(w.t))
	must(w.t, err)
	hashes, err := measure.HashKernel(strings.NewReader("the kernel"), strings.NewReader("the initrd"), "root=/dev/mapper/cryptroot")
	must(w.t, err)
	launch, err := measure.New(measure.Config{Firmware: parsed, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures})
	must(w.t, err)
	stored, err := w.store.ReleaseByID(w.t.Context(), r.Release.ID)
	must(w.t, err)
	for i, want := range []string{"1xEPYC-Milan", "2xEPYC-Milan", "1xEPYC-Genoa", "2xEPYC-Genoa"} {
		v := r.Release.Variants[i]
		vcpuType, err := measure.ParseVCPUType(v.VCPUType)
		must(w.t, err)
		digest, err := launch.Digest(measure.VCPUs{Count: v.VCPUs, Type: vcpuType})
		must(w.t, err)
		if got := fmt.Sprintf("%dx%s", v.VCPUs, v.VCPUType); got != want || v.Measurement != digest.String() {
			w.t.Errorf("variant %d is %s, measures %s; want %s, %s", i, got, v.Measurement, want, digest)
		}
		w.checkIDBlock(r, stored.Variants[i].IDBlock, stored.Variants[i].IDAuth, digest)
	}
}

func (w *world) checkIDBlock(r wire.Registered, encoded, encodedAuth []byte, digest measure.Digest) {
	w.t.Helper()
	block, err := idblock.Parse(encoded)
	must(w.t, err)
	auth, err := idblock.ParseAuthentication(encodedAuth)
	must(w.t, err)
	must(w.t, auth.Verify(block))
	if block.LaunchDigest != digest || block.FamilyID != r.Image.ID || block.ImageID != r.Release.ID || block.GuestSVN != r.Release.GuestSVN ||
		fmt.Sprintf("%#x", uint64(block.Policy)) != r.Release.GuestPolicy {
		w.t.Errorf("ID block %+v", block)
	}
	idKey, err := idblock.KeyDigest(auth.IDKey)
	must(w.t, err)
	authorKey, err := idblock.KeyDigest(auth.AuthorKey)
	must(w.t, err)
	if hex.EncodeToString(idKey[:]) != r.Image.IDKeyDigest || hex.EncodeToString(authorKey[:]) != r.Image.AuthorKeyDigest {
		w.t.Error("the ID block is signed by other keys")
	}
}

// TestRegisterWithoutInitrd registers what counts as an empty initrd.
func TestRegisterWithoutInitrd(t *testing.T) {
	w := newWorld(t)
	r := into[wire.Registered](w.register(w.newUpload("a").set("initrd", nil), "/v1/images").want(201))
	if len(r.Release.Artifacts) != 2 {
		t.Errorf("artifacts %+v", r.Release.Artifacts)
	}
	parsed, err := measure.ParseFirmware(firmware(t))
	must(t, err)
	hashes, err := measure.HashKernel(strings.NewReader("the kernel"), nil, "root=/dev/mapper/cryptroot")
	must(t, err)
	launch, err := measure.New(measure.Config{Firmware: parsed, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures})
	must(t, err)
	milan, err := measure.ParseVCPUType("EPYC-Milan")
	must(t, err)
	digest, err := launch.Digest(measure.VCPUs{Count: 1, Type: milan})
	must(t, err)
	if r.Release.Variants[0].Measurement != digest.String() {
		t.Errorf("measures %s, want %s", r.Release.Variants[0].Measurement, digest)
	}
	a := w.get(releasePath(r)+"/bundle", wire.RoleRegister).want(200)
	identity, _ := w.keys.Identity.Public().(ed25519.PublicKey)
	if _, err := bundle.Verify(bytes.NewReader(a.body), identity); err != nil {
		t.Error(err)
	}
}

func TestFurtherRelease(t *testing.T) {
	w := newWorld(t)
	conversion := w.newUpload("a")
	first := into[wire.Registered](w.register(conversion, "/v1/images").want(201))
	further := func() *upload { return w.further(first).set("unsealing_key", conversion.part("unsealing_key")) }
	path := "/v1/images/" + first.Image.ID.String() + "/releases"
	second := into[wire.Registered](w.register(further(), path).want(201))
	if second.Image.ID != first.Image.ID || second.Image.IDKeyDigest != first.Image.IDKeyDigest || second.Release.ID == first.Release.ID ||
		second.Release.State != wire.StateProposed || !second.Image.Enabled || second.Release.Variants[0].Measurement == first.Release.Variants[0].Measurement {
		t.Errorf("registered %+v", second)
	}
	stored, err := w.store.ReleaseByID(t.Context(), second.Release.ID)
	must(t, err)
	w.checkIDBlock(second, stored.Variants[0].IDBlock, stored.Variants[0].IDAuth, measure.Digest(stored.Variants[0].Measurement))
	if r := w.lastAudit(); r.Reason != "release.proposed" || r.ReleaseID != second.Release.ID.String() {
		t.Errorf("recorded %+v", r)
	}
	image := into[wire.Image](w.get("/v1/images/"+first.Image.ID.String(), wire.RoleRead).want(200))
	if len(image.Releases) != 2 || len(image.Releases[0].Variants) != 4 {
		t.Errorf("image %+v", image)
	}
	for name, tc := range map[string]struct {
		u    *upload
		path string
		code wire.Code
	}{
		"unknown image": {further(), "/v1/images/" + wire.NewUUID().String() + "/releases", wire.CodeNotFound},
		"same release":  {further(), path, wire.CodeConflict},
		"other image":   {w.newUpload(""), path, wire.CodeUnprocessable},
		"other key":     {further().set("unsealing_key", w.sealedKey(first.Image.ID)), path, wire.CodeUnprocessable},
		"other name":    {further().change(func(r *wire.Registration) { r.Name = "b" }), path, wire.CodeUnprocessable},
		"labels":        {further().change(func(r *wire.Registration) { r.Labels = map[string]string{"a": "b"} }), path, wire.CodeUnprocessable},
		"same image ID": {w.newUpload("c").change(func(r *wire.Registration) { r.ImageID = first.Image.ID }), "/v1/images", wire.CodeConflict},
	} {
		t.Run(name, func(*testing.T) { w.register(tc.u, tc.path).problem(tc.code) })
	}
	if w.files.left() != 4 { // the firmware and the initrd are the same ones
		t.Errorf("%d files", w.files.left())
	}
}

// further is a release with another kernel, of an image that is registered.
func (w *world) further(first wire.Registered) *upload {
	return w.newUpload("").change(func(r *wire.Registration) { r.ImageID = first.Image.ID }).
		set("unsealing_key", nil).set("kernel", []byte("another kernel"))
}

// TestReleaseOnlyTightens adds a release that asks for more than its image's policy
// lets it: its own policy does not help.
func TestReleaseOnlyTightens(t *testing.T) {
	w := newWorld(t)
	first := w.registered("a")
	debug := w.further(first).change(func(r *wire.Registration) {
		r.GuestPolicy, r.Policy = "smt,debug", []byte(`{"version":1,"guest_policy":{"allow_debug":true}}`)
	})
	path := "/v1/images/" + first.Image.ID.String()
	if detail := w.register(debug, path+"/releases").problem(wire.CodeUnprocessable); !strings.Contains(detail, "allow_debug") {
		t.Errorf("it says %s", detail)
	}
	tighter := w.further(first).change(func(r *wire.Registration) { r.Policy = []byte(`{"version": 1, "min_guest_svn": 7}`) })
	release := into[wire.Registered](w.register(tighter, path+"/releases").want(201))
	if string(release.Release.Policy) != `{"version":1,"signing_keys":["VCEK","VLEK"],"min_guest_svn":7,"tcb_floors":"none"}` || string(release.Image.Policy) != string(first.Image.Policy) {
		t.Errorf("registered %+v", release)
	}
}

// TestDeletedImageStaysDeleted registers an image again that was deleted, from the
// staging directory of old, which somebody has kept.
func TestDeletedImageStaysDeleted(t *testing.T) {
	w := newWorld(t)
	conversion := w.newUpload("a")
	first := into[wire.Registered](w.register(conversion, "/v1/images").want(201))
	w.send("DELETE", "/v1/images/"+first.Image.ID.String(), wire.RoleAdmin, nil).want(204)
	if detail := w.register(conversion, "/v1/images").problem(wire.CodeConflict); !strings.Contains(detail, "was deleted") {
		t.Errorf("it says %s", detail)
	}
	// The same key, sealed for another image's ID by whoever has seen it in the clear.
	w.keyOf(conversion, first.Image.ID, func(key []byte) {
		other := w.newUpload("b")
		r, _ := other.registration.(wire.Registration)
		sealed, err := w.keys.Ingestion.Public().Seal(wire.UnsealingKeyInfo(r.ImageID), key)
		must(t, err)
		w.register(other.set("unsealing_key", sealed), "/v1/images").problem(wire.CodeConflict)
	})
	w.registered("a") // the name is free
}

// keyOf calls use with the unsealing key of an upload in the clear.
func (w *world) keyOf(u *upload, image wire.UUID, use func(key []byte)) {
	w.t.Helper()
	key, err := w.keys.Ingestion.Open(wire.UnsealingKeyInfo(image), u.part("unsealing_key"))
	must(w.t, err)
	use(key)
}

// TestGuestPolicyOnPurpose allows in the report policy what is refused without.
func TestGuestPolicyOnPurpose(t *testing.T) {
	w := newWorld(t)
	for guest, report := range map[string]string{
		"smt,debug": `{"allow_debug":true}`, "smt,migrate-ma": `{"allow_migration_agent":true}`,
	} {
		u := w.newUpload(guest).change(func(r *wire.Registration) {
			r.GuestPolicy, r.Policy = guest, []byte(`{"version":1,"guest_policy":`+report+`}`)
		})
		w.register(u, "/v1/images").want(201)
	}
}

// TestLongestLine registers a command line as long as Linux takes.
func TestLongestLine(t *testing.T) {
	w := newWorld(t)
	line := strings.Repeat("a", 2047)
	r := into[wire.Registered](w.register(w.newUpload("a").set("cmdline", []byte(line+"\n")), "/v1/images").want(201))
	if r.Release.Cmdline != line {
		t.Errorf("%d bytes", len(r.Release.Cmdline))
	}
}

// TestSameNameAtOnce registers two images of one name side by side.
func TestSameNameAtOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	statuses := make(chan int, 4)
	for range cap(statuses) {
		u := w.newUpload("a")
		wg.Go(func() { statuses <- w.register(u, "/v1/images").status })
	}
	wg.Wait()
	close(statuses)
	count := make(map[int]int)
	for s := range statuses {
		count[s]++
	}
	if count[201] != 1 || count[409]+count[503] != 3 {
		t.Errorf("statuses %v", count)
	}
	counts, err := w.store.Count(t.Context())
	must(t, err)
	if counts.Images != 1 || counts.Releases != 1 || w.files.left() != 3 {
		t.Errorf("%+v, %d files", counts, w.files.left())
	}
}

// TestEncodedPart says that a part is encoded: it is taken as it is.
func TestEncodedPart(t *testing.T) {
	w := newWorld(t)
	body, contentType := w.newUpload("a").set("kernel", []byte("=41=42")).encode(t)
	body = bytes.ReplaceAll(body, []byte("Content-Type: application/octet-stream"), []byte("Content-Transfer-Encoding: quoted-printable"))
	r := into[wire.Registered](w.do(call{
		method: "POST", path: "/v1/images", token: w.tokens[wire.RoleRegister], contentType: contentType, body: body,
	}).want(201))
	if got := w.get(releasePath(r)+"/artifacts/vmlinuz", wire.RoleRegister).want(200).body; string(got) != "=41=42" {
		t.Errorf("the kernel became %q", got)
	}
}
