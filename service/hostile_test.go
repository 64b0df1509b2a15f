package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestHostileTexts shows texts that would be scripts, are very long or run from
// right to left, wherever somebody else can have put them.
func TestHostileTexts(t *testing.T) {
	o := newOperator(t)
	const script = `<script>window.owned=1</script>"'><img src=x onerror="window.owned=1">`
	const hebrew = "שלום עולם admin"
	o.visit("/tokens")
	for _, name := range []string{`<script>alert(1)<\script>`, hebrew, strings.Repeat("W", 128)} {
		if _, err := o.client.CreateToken(t.Context(), wire.TokenRequest{Name: strings.ReplaceAll(name, `\`, "|"), Role: wire.RoleRead, ExpiresIn: 60}); err != nil {
			t.Fatal(err)
		}
	}
	image := register(t, o.client, o.login.IngestionKey, func(r *wire.Registration) {
		r.Name = strings.ReplaceAll(script, "/", "|")
		r.Labels = map[string]string{"note": script, "long": strings.Repeat("W", 200), "rtl": hebrew}
	})
	wrong := image.launch(t, o.simulation.host)
	wrong.Report.Measurement[0] ^= 1
	_, err := boot(t.Context(), o.client, wrong, o.login.IdentityKey)
	checkDenied(t, err)
	path := "/images/" + image.ID.String()
	long := strings.Repeat(script, 100) // 10 kB
	for _, page := range []struct {
		path string
		says []string
	}{
		{"/", []string{`<script>window.owned`}},
		{"/images", []string{`<script>window.owned`, strings.Repeat("W", 200), "note=" + script}},
		{"/images?name=" + url.QueryEscape(long), []string{"No images match."}},
		{"/images?label=" + url.QueryEscape(long), nil},
		{path, []string{`<script>window.owned`}},
		{path + "/releases/" + image.answer.Release.ID.String(), []string{"root=/dev/mapper/cryptroot"}},
		{"/tokens", []string{"<script>alert(1)<|script>", hebrew, strings.Repeat("W", 128)}},
		{"/audit", []string{`<script>window.owned`}},
		{"/audit?reason=" + url.QueryEscape(script), []string{"No records match."}},
		{"/audit?image_id=" + url.QueryEscape(script), []string{"Image: want its ID."}},
		{"/audit?cursor=" + url.QueryEscape(script), []string{"The address of this page is not complete."}},
		{"/register?image_id=" + url.QueryEscape(script), []string{"Page not found."}},
		{"/?span=" + url.QueryEscape(script), []string{"Overview"}},
		{"/images?done=" + url.QueryEscape(script), nil},
		{"/" + url.PathEscape(script), []string{"Page not found."}},
	} {
		o.visit(page.path)
		o.shows(page.says...)
		if !eval[bool](o.tab, "window.owned === undefined") {
			t.Errorf("%.60s: a script ran", page.path)
		}
		if n := eval[int](o.tab, `document.querySelectorAll("script").length + 10 * document.querySelectorAll("[onerror], [onclick], [style]").length`); n != 1 {
			t.Errorf("%.60s: the page has markup that is not its own", page.path)
		}
		o.look(390, 844, "light")
		if wide := eval[int](o.tab, "document.documentElement.scrollWidth"); wide > 390 {
			t.Errorf("%.60s: %d pixels wide on a phone", page.path, wide)
		}
		o.look(1280, 800, "light")
	}
	o.visit("/login")
	o.press(".leave button")
	o.visit("/login?next=" + url.QueryEscape("https://example.com/"+script))
	o.fill("#password", o.process.password)
	o.press("form button.primary")
	o.shows(o.url, "Overview")
}
