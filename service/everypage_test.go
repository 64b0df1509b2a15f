package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// screenshots makes TestEveryPage write what it sees: "make screenshots".
var screenshots = flag.String("screenshots", "", "write pictures of all pages to this `directory`")

// shownPage is a page and how to get there.
type shownPage struct {
	name, path string
	then       func(b *tab) // after it was opened
}

// TestEveryPage looks at every page, in light and dark, on a desk and on a phone.
// Axe finds nothing wrong with it, and nothing sticks out of a phone.
func TestEveryPage(t *testing.T) {
	axe := readAxe(t)
	s := simulate(t)
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Run("past", func(t *testing.T) { writePast(t, data, s) })
	p := start(t, s.flags("--data", data)...)
	image, instance, denied := act(t, p, s)
	b := openBrowser(t, p.url)
	for _, looks := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"light", 1280, 850, "light"}, {"dark", 1280, 850, "dark"}, {"phone", 390, 844, "light"}} {
		b.look(looks.width, looks.height, looks.scheme)
		send(b, network.ClearBrowserCookies, cdp.Empty{})
		for _, shown := range everyPage(image, instance, denied, p.password, b) {
			b.visit(shown.path)
			if shown.then != nil {
				shown.then(b)
			}
			if looks.name != "phone" { // where the same is shown in another order
				b.checkAxe(looks.name+" "+shown.name, axe)
			}
			b.checkRoom(looks.name+" "+shown.name, looks.width)
			if *screenshots != "" {
				b.picture(filepath.Join(*screenshots, shown.name+"-"+looks.name+".png"), looks.width, looks.height)
			}
		}
	}
}

// checkRoom fails the test when something sticks out of the window, when what can be
// pressed is seen only after scrolling sideways, and when a short name breaks.
func (b *tab) checkRoom(name string, width int64) {
	b.t.Helper()
	if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > width {
		b.t.Errorf("%s is %d pixels wide, more than %d", name, wide, width)
	}
	const beyond = `[...document.querySelectorAll("main :is(a, button, summary, input:not([type=hidden]), select, textarea)")]
		.filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth)
		.map(e => (e.ariaLabel || e.textContent || e.name) + " ends at " + Math.round(e.getBoundingClientRect().right))`
	if out := eval[[]string](b, beyond); len(out) > 0 {
		b.t.Errorf("%s: out of reach: %s", name, strings.Join(out, "; "))
	}
	const broken = `[...document.querySelectorAll("tbody th :is(bdi, code)")]
		.filter(e => e.textContent.length <= 20 && e.getClientRects().length > 1).map(e => e.textContent)`
	if names := eval[[]string](b, broken); len(names) > 0 {
		b.t.Errorf("%s: names are squeezed: %s", name, strings.Join(names, "; "))
	}
}

// everyPage returns the pages in the order in which they are visited: the first
// one without a session, and then with one.
func everyPage(image *registered, instance wire.UUID, denied, password string, b *tab) []shownPage {
	path := "/images/" + image.ID.String()
	report := filepath.Join(b.dir, "report.bin")
	return []shownPage{
		{"login", "/login", nil},
		{"overview", "/login", func(b *tab) {
			b.fill("#password", password)
			b.press("form button.primary")
			b.visit("/?span=7d")
		}},
		{"images", "/images", nil},
		{"image", path, nil},
		{"disable", path, func(b *tab) { b.press(`form[action$="/enabled"] button`) }},
		{"release", path + "/releases/" + image.answer.Release.ID.String(), nil},
		{"retire", path + "/releases/" + image.answer.Release.ID.String(), func(b *tab) { b.press(`form[action$="/retirement"] button`) }},
		{"diff", path + "/releases/" + image.answer.Release.ID.String() + "/diff", nil},
		{"instances", "/instances", nil},
		{"instance", "/instances/" + instance.String(), nil},
		{"channels", "/channels", nil},
		{"move", "/channels?move=payments-api/stable", nil},
		{"register", "/register", nil},
		{"register-release", "/register?image_id=" + image.ID.String(), nil},
		{"audit", "/audit", nil},
		{"audit-verified", "/audit?outcome=denied", func(b *tab) { b.press(`form[action="/audit/verify"] button`) }},
		{"denial", "/records/" + denied, nil},
		{"inspect", "/inspect", nil},
		{"inspected", "/inspect", func(b *tab) {
			b.attach("#i-report", saveReport(b, report, denied))
			b.press("form.drop button")
		}},
		{"tokens", "/tokens", nil},
		{"revoke", "/tokens", func(b *tab) { b.press(`form[action$="/revoke"] button`) }},
		{"settings", "/settings", nil},
		{"missing", "/nothing", nil},
	}
}

// act registers an image, unlocks it and has a launch denied, and creates an instance of
// another one. It returns the image, the instance and the number of the denial's record.
func act(t *testing.T, p *process, s *simulation) (*registered, wire.UUID, string) {
	t.Helper()
	c, l := login(t, p)
	image := register(t, c, l.IngestionKey, func(r *wire.Registration) {
		r.Name, r.Labels, r.VCPUTypes = "payments-api", map[string]string{"stage": "production", "team": "payments"}, []string{"EPYC-Milan", "EPYC-Genoa"}
		r.Policy = json.RawMessage(`{"version":1,"min_report_version":2,"tcb_floors":{"milan":{"reported":{"bootloader":4,"snp":22,"microcode":213}}}}`)
	})
	if _, err := boot(t.Context(), c, image.launch(t, s.host), l.IdentityKey); err != nil {
		t.Fatal(err)
	}
	wrong := image.launch(t, s.host)
	wrong.Report.Measurement[0] ^= 1
	_, err := boot(t.Context(), c, wrong, l.IdentityKey)
	checkDenied(t, err)
	records, err := c.Audit(t.Context(), client.AuditFilter{Outcome: "denied", ImageID: image.ID.String()})
	if err != nil || len(records) != 1 {
		t.Fatalf("%d denials, %v", len(records), err)
	}
	for _, token := range []wire.TokenRequest{{Name: "packer on build-7", Role: wire.RoleRegister, ExpiresIn: 90 * 86400}, {Name: "grafana", Role: wire.RoleRead, ExpiresIn: 365 * 86400}} {
		if _, err := c.CreateToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	channel := wire.ChannelChange{Target: wire.ChannelTarget{ImageID: image.ID}}
	if _, err := c.SetChannel(t.Context(), "payments-api/stable", channel); err != nil {
		t.Fatal(err)
	}
	return image, newVM(t, at{c, l}, s.host).row.ID, jsonNumber(records[0].Seq)
}

func jsonNumber(n int64) string {
	data, _ := json.Marshal(n)
	return string(data)
}

// saveReport writes the report of a record to a file, as an operator's browser
// could not.
func saveReport(b *tab, path, record string) string {
	b.t.Helper()
	lines := eval[string](b, `fetch("/audit/export?kind=unlock").then(r => r.text())`)
	for line := range strings.Lines(lines) {
		var r wire.AuditRecord
		if err := json.Unmarshal([]byte(line), &r); err == nil && jsonNumber(r.Seq) == record {
			if err := os.WriteFile(path, r.Report, 0o600); err != nil {
				b.t.Fatal(err)
			}
			return path
		}
	}
	b.t.Fatalf("the export has no record %s", record)
	return ""
}

// maxPicture is how much of a long page a picture shows, in pixels.
const maxPicture = 1400

// picture writes what the tab shows to a file: at least what a window shows, and of
// a long page the beginning.
func (b *tab) picture(path string, width, height int64) {
	b.t.Helper()
	whole := max(height, min(eval[int64](b, "document.documentElement.scrollHeight"), maxPicture))
	beyond := true
	shot := send(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: float64(width), Height: float64(whole), Scale: 1},
	})
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
