package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// operator is somebody at a browser, with a simulated AMD behind the service.
type operator struct {
	*tab
	simulation *simulation
	process    *process
	client     *client.Client
	login      *client.Login
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	s := simulate(t)
	p := start(t, s.flags("--data", filepath.Join(t.TempDir(), "data"))...)
	c, l := login(t, p)
	o := &operator{tab: openBrowser(t, p.url), simulation: s, process: p, client: c, login: l}
	o.tab.login(p.password)
	o.shows("Overview", "Simulated AMD.")
	return o
}

// stage writes what a conversion leaves behind.
func (o *operator) stage(image *guesttest.Image) []string {
	o.t.Helper()
	dir := o.t.TempDir()
	var paths []string
	for name, data := range map[string][]byte{
		"firmware-code.fd":  vectors.MustRead(o.t, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd"),
		"vmlinuz":           vectors.MustRead(o.t, "measure/inputs/payload/kernel_1500001.bin"),
		"initrd.img":        vectors.MustRead(o.t, "measure/inputs/payload/initrd_4097.bin"),
		"kernel-params.txt": []byte("root=/dev/mapper/cryptroot\n"),
		"unsealing.key.enc": image.UnsealingKey,
		"conversion.json": []byte(`{"image_id":"` + image.ID.String() + `","findings":[
			{"code":"cloud-init","severity":"critical","path":"etc/cloud/cloud.cfg","detail":"asks the host","mended":true},
			{"code":"ssh-host-key","severity":"critical","path":"etc/ssh/ssh_host_rsa_key","detail":"known","mended":false}]}`),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			o.t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// register registers an image by upload and returns it as guests need it.
func (o *operator) register(name string) *registered {
	o.t.Helper()
	key, err := seal.ParsePublicKey(o.login.IngestionKey)
	if err != nil {
		o.t.Fatal(err)
	}
	image := guesttest.NewImage(o.t, key)
	o.visit("/register")
	o.attach("#r-all", o.stage(image)...)
	o.await(`document.querySelector("#r-id").value.length === 36 && document.querySelector("#r-key").files.length === 1 && document.querySelector("#r-cmdline").value !== ""`)
	o.fill("#r-name", name)
	o.fill("#r-vcpus", "2,4")
	o.click(`input[value="EPYC-Milan"]`)
	// An image that the host gets into is refused until its finding is accepted.
	o.click(".submit button")
	o.await(`document.getElementById("problem").textContent.includes("(ssh-host-key)")`)
	o.fill("#r-accepted", "ssh-host-key")
	o.press(".submit button")
	found, err := o.client.Image(o.t.Context(), image.ID)
	if err != nil || len(found.Releases) != 1 {
		o.t.Fatalf("registered %+v, %v; the page is\n%s", found, err, o.text())
	}
	o.shows("The image is registered.", "/etc/ssh/ssh_host_rsa_key: known Accepted by", found.Releases[0].Variants[0].Measurement, found.Releases[0].Variants[1].Measurement)
	return &registered{image, &wire.Registered{Image: *found, Release: found.Releases[0]}}
}

// TestDashboard does what an operator does, from the registration of an image to
// its deletion.
func TestDashboard(t *testing.T) {
	o := newOperator(t)
	o.keyboard()
	image := o.register("web server")
	o.seeUnlocks(image)
	o.changePolicy(image)
	o.download(image)
	o.disable(image)
	o.tokens()
	o.verifyAudit()
	o.caches()
	o.remove(image)
	o.password()
}

// keyboard skips the navigation, and goes to another page, without a mouse.
func (o *operator) keyboard() {
	o.t.Helper()
	o.visit("/")
	o.run(chromedp.KeyEvent(kb.Tab))
	if text := eval[string](o.tab, "document.activeElement.textContent"); text != "Skip to content" {
		o.t.Errorf("the first key leads to %q", text)
	}
	o.run(chromedp.KeyEvent(kb.Enter))
	o.await(`document.activeElement.id === "main"`)
	o.visit("/")
	for range 4 { // skip, name, overview, images
		o.run(chromedp.KeyEvent(kb.Tab))
	}
	o.run(chromedp.KeyEvent(kb.Enter))
	o.await(`location.pathname === "/images" && document.readyState === "complete"`)
}

// seeUnlocks sees a guest get its key, another be refused, and why.
func (o *operator) seeUnlocks(image *registered) {
	o.t.Helper()
	vmk, err := boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey)
	if err != nil || !bytes.Equal(vmk, image.VMK) {
		o.t.Fatalf("the guest has %x, %v", vmk, err)
	}
	wrong := image.launch(o.t, o.simulation.host)
	wrong.Report.Measurement[0] ^= 1
	_, err = boot(o.t.Context(), o.client, wrong, o.login.IdentityKey)
	checkDenied(o.t, err)
	o.visit("/")
	o.shows("1 granted, 1 denied.", "Measurement differs", "web server", "current")
	o.press(".denials .what")
	o.shows("What was launched is not what was registered", image.answer.Release.Variants[0].Measurement, "What to do.", "Attestation report", "reported_tcb")
	o.press(`form[action="/inspect"] button`)
	o.shows("genuine", "simulated", "not acceptable", "not revoked", "measurements", "SEV-Milan")
	o.visit("/images")
	o.shows("web server", "just now")
}

// limitLaunches lets no more launches have their keys than had them already.
func (o *operator) limitLaunches(image *registered) {
	o.t.Helper()
	o.fill("#l-max", "1")
	o.fill("#l-period", "a while")
	o.press(`form[action$="/limit"] button`)
	o.shows("The launch limit was not changed.", "1h or 24h")
	o.fill("#l-period", "24h")
	o.press(`form[action$="/limit"] button`)
	o.shows("The change was made")
	_, err := boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey)
	checkDenied(o.t, err)
	o.visit("/audit?reason=launch_limit")
	o.shows("Too many launches")
	o.visit("/images/" + image.ID.String())
	o.fill("#l-max", "")
	o.press(`form[action$="/limit"] button`)
	o.shows("The change was made")
}

// changePolicy sets a TCB floor that the host is below, by the form and as JSON.
func (o *operator) changePolicy(image *registered) {
	o.t.Helper()
	o.visit("/images/" + image.ID.String())
	o.fill(`[name="milan.reported.snp"]`, "99")
	o.press(`form[action$="/floors"] button`)
	o.shows("The change was made", "Revision 2", `"snp": 99`)
	_, err := boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey)
	checkDenied(o.t, err)
	o.visit("/audit?kind=unlock&outcome=denied")
	o.shows("TCB too old", "tcb_floors.reported")
	o.visit("/images/" + image.ID.String())
	o.paste("#p-policy", `{"version":1,"vmpls":[0]}`)
	o.press(`form[action$="/policy"] button`)
	o.shows("leave vmpls out", `"vmpls":[0]`)
	o.paste("#p-policy", `{"version":1}`)
	o.press(`form[action$="/policy"] button`)
	o.shows("The change was made", "Revision 3")
	o.limitLaunches(image)
	o.press(".panelhead a")
	o.paste("#p-policy", `{"version":1,"platform":{"smt":false}}`)
	o.press(`form[action$="/policy"] button`)
	o.shows("The change was made", "Revision 2", `"smt": false`)
	_, err = boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey)
	checkDenied(o.t, err)
	o.paste("#p-policy", `{"version":1}`)
	o.press(`form[action$="/policy"] button`)
	if _, err := boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey); err != nil {
		o.t.Error(err)
	}
}

// download takes the bundle and a file home.
func (o *operator) download(image *registered) {
	o.t.Helper()
	o.click(`a[href$="format=tar.gz"]`)
	data := o.downloaded("launch-artifacts.tar.gz")
	if m, err := bundle.Verify(bytes.NewReader(data), o.login.IdentityKey); err != nil || m.Release != image.answer.Release.ID {
		o.t.Errorf("bundle %+v, %v", m, err)
	}
	o.click(`a[href$="/artifacts/vmlinuz"]`)
	if data := o.downloaded("vmlinuz"); !bytes.Equal(data, vectors.MustRead(o.t, "measure/inputs/payload/kernel_1500001.bin")) {
		o.t.Errorf("vmlinuz has %d bytes", len(data))
	}
}

// disable disables the image and retires its release, and takes both back.
func (o *operator) disable(image *registered) {
	o.t.Helper()
	path := "/images/" + image.ID.String()
	for _, tc := range []struct{ path, off, on, asks, isOff, isOn, denied string }{
		{path, "/enabled", "/enabled", "Disable ", "It is disabled", "It is enabled", "Image disabled"},
		{path + "/releases/" + image.answer.Release.ID.String(), "/retirement", "/restoration", "Retire ", "The release is retired", "The release is restored", "Release retired"},
	} {
		o.visit(tc.path)
		o.press(`form[action$="` + tc.off + `"] button`)
		o.shows(tc.asks, "get no key", "Cancel")
		o.press(".actions a")
		o.await(`location.pathname === "` + tc.path + `"`)
		o.press(`form[action$="` + tc.off + `"] button`)
		o.press(`form[action$="` + tc.off + `"] .destroy`)
		o.shows(tc.isOff)
		_, err := boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey)
		checkDenied(o.t, err)
		o.visit("/")
		o.shows(tc.denied)
		o.visit(tc.path)
		o.press(`form[action$="` + tc.on + `"] button`)
		if tc.on != tc.off {
			o.press(`form[action$="` + tc.on + `"] button.primary`)
		}
		o.shows(tc.isOn)
	}
	if _, err := boot(o.t.Context(), o.client, image.launch(o.t, o.simulation.host), o.login.IdentityKey); err != nil {
		o.t.Error(err)
	}
}

// tokens makes a token, uses it, and revokes it.
func (o *operator) tokens() {
	o.t.Helper()
	o.visit("/tokens")
	o.fill("#t-name", "packer")
	o.press(`form[action="/tokens"] button`)
	o.shows("It is shown only once")
	secret := eval[string](o.tab, `document.querySelector(".secret .hex").textContent`)
	used := *o.login
	used.Token = secret
	c, err := used.Client()
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := c.Images(o.t.Context(), client.ImageFilter{}); err != nil {
		o.t.Error(err)
	}
	o.visit("/tokens")
	if strings.Contains(o.text(), secret) {
		o.t.Error("the secret is shown again")
	}
	o.press(`button[aria-label="Revoke packer"]`)
	o.shows("Revoke packer?")
	o.press(`form[action$="/revoke"] .destroy`)
	o.shows("The token is revoked.", "revoked")
	if _, err := c.Images(o.t.Context(), client.ImageFilter{}); err == nil {
		o.t.Error("a revoked token is good")
	}
}

// verifyAudit verifies the chain, exports a part of it, and holds it against a
// head that is not its own.
func (o *operator) verifyAudit() {
	o.t.Helper()
	o.visit("/audit?kind=admin")
	o.press(`form[action="/audit/verify"] button`)
	o.shows("The chain is whole.")
	o.paste("#v-head", "1:"+strings.Repeat("00", 32))
	o.press(`form[action="/audit/verify"] button`)
	o.shows("The chain is broken at record 1.")
	o.visit("/audit?reason=token.revoked")
	o.click(`a[href^="/audit/export"]`)
	var record wire.AuditRecord
	if err := json.Unmarshal(o.downloaded("audit.jsonl"), &record); err != nil || record.Reason != "token.revoked" || record.Details["name"] != "packer" {
		o.t.Errorf("exported %+v, %v", record, err)
	}
}

// caches exports the cache of AMD's certificates and imports it, and what is none.
func (o *operator) caches() {
	o.t.Helper()
	o.visit("/settings")
	o.shows("SnpGuard CA", "127.0.0.1", "Expires", "current")
	o.click(`a[href="/settings/ca.pem"]`)
	if data := o.downloaded("snpguard-ca.pem"); string(data) != o.login.CA {
		o.t.Errorf("CA certificate %s", data)
	}
	o.click(`a[href="/settings/kds.tar.gz"]`)
	archive := filepath.Join(o.dir, "kds-cache.tar.gz")
	o.downloaded(filepath.Base(archive))
	o.attach("#k-archive", archive)
	o.press(`form[action="/settings/kds"] button`)
	o.shows("The archive is imported.")
	o.attach("#k-archive", filepath.Join(o.dir, "vmlinuz"))
	o.press(`form[action="/settings/kds"] button`)
	o.shows("The archive is malformed or was changed.")
}

// remove deletes the image, once its name is typed as it is.
func (o *operator) remove(image *registered) {
	o.t.Helper()
	o.visit("/images/" + image.ID.String())
	o.fill("#e-name", "mail server")
	o.paste("#e-labels", "os=debian\nstage=test")
	o.press(`form[action$="/edit"] button`)
	o.shows("The change was made", "mail server")
	o.fill("#d-typed", "web server")
	o.press(`form[action$="/delete"] button`)
	o.shows("The image was not deleted.", "mail server")
	o.fill("#d-typed", "mail server")
	o.press(`form[action$="/delete"] button`)
	o.shows("It is deleted.", "There are no images yet.")
	o.visit("/images/" + image.ID.String())
	o.shows("Page not found.")
}

// password changes the password, which ends the session, and logs in and out.
func (o *operator) password() {
	o.t.Helper()
	const next = "a new one with many letters"
	o.visit("/settings")
	o.fill("#w-current", "wrong")
	o.fill("#w-new", next)
	o.fill("#w-repeated", next)
	o.press(`form[action="/settings/password"] button`)
	o.shows("The current password is wrong.")
	o.fill("#w-current", o.process.password)
	o.fill("#w-new", next)
	o.fill("#w-repeated", next)
	o.press(`form[action="/settings/password"] button`)
	o.shows("Log in with the new one.")
	o.tab.login(o.process.password)
	o.shows("Wrong password.")
	o.visit("/tokens")
	o.fill("#password", next)
	o.press("form button.primary")
	o.shows("Make a token")
	o.press(".leave button")
	o.visit("/tokens")
	o.shows("Master password")
}
