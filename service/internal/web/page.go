package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

//go:embed templates
var templateFiles embed.FS

// page is what the layout shows, and around what.
type page struct {
	Name    string // of the template
	Title   string
	Nav     string // the entry of the navigation that it belongs to
	Body    any
	Notice  string   // of a change that was made
	Problem *problem // of one that was not

	// Set by render.
	Session   bool
	Token     string
	Simulated bool
	Version   string
}

// readTemplates parses each page together with the layout and the parts that
// several pages have.
func (w *Web) readTemplates() (map[string]*template.Template, error) {
	base, err := template.New("layout.html").Funcs(w.funcs()).Option("missingkey=error").ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	pages := make(map[string]*template.Template, len(entries))
	for _, e := range entries {
		if e.Name() == "layout.html" || e.Name() == "parts.html" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, path.Join("templates", e.Name()))
		}
		if err != nil {
			return nil, fmt.Errorf("read templates: %w", err)
		}
		pages[e.Name()] = t
	}
	return pages, nil
}

// render answers with a page. It is complete before anything is sent.
func (w *Web) render(rw http.ResponseWriter, r *request, status int, p page) error {
	p.Session, p.Simulated, p.Version = r.secret != "", w.cfg.Info.Simulated, version.String()
	if p.Session {
		p.Token = r.token()
	}
	if p.Problem != nil && p.Problem.cause != nil {
		p.Problem.RequestID = api.RequestID(r.Context())
		w.cfg.Log.InfoContext(r.Context(), "request refused", "request_id", p.Problem.RequestID, "error", p.Problem.Error())
	}
	if p.Notice == "" {
		p.Notice = notices[r.URL.Query().Get("done")]
	}
	var b bytes.Buffer
	if err := w.pages[p.Name].ExecuteTemplate(&b, "layout.html", p); err != nil {
		return fmt.Errorf("render %s: %w", p.Name, err)
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := rw.Write(b.Bytes())
	return err
}

// notices is what is said after a change. The address of a page names one of
// these and can say nothing else.
var notices = map[string]string{
	"registered": "The image is registered. Its guests must have one of the launch digests below.",
	"release":    "The release is proposed: it unlocks nothing until an admin approves it. Its guests must have one of the launch digests below.",
	"changed":    "The change was made and recorded.",
	"approved":   "The release is approved: its guests get their keys.",
	"rejected":   "The release is rejected.",
	"retired":    "The release is retired: none of its guests gets a key.",
	"restored":   "The release is restored.",
	"enabled":    "It is enabled: guests get their keys.",
	"disabled":   "It is disabled: no guest gets its key.",
	"deleted":    "It is deleted.",
	"created":    "The instance is created. It is launched with the HOST_DATA below.",
	"reset":      "The instance is new again: launch it from a fresh copy of the image’s disk.",
	"undoable":   "The instance is deleted. This can be undone for a day.",
	"undeleted":  "The deletion is taken back.",
	"allowed":    "One boot of that generation is allowed for an hour.",
	"revoked":    "The token is revoked.",
	"imported":   "The archive is imported.",
	"password":   "The password is changed and all sessions have ended. Log in with the new one.",
}

// funcs are what templates can do beyond what they can.
func (w *Web) funcs() template.FuncMap {
	return template.FuncMap{
		"asset": w.assetPath,
		"ago":   func(t time.Time) string { return ago(w.cfg.Now(), t) },
		"until": func(t time.Time) string { return until(w.cfg.Now(), t) },
		"past":  func(t time.Time) bool { return !t.IsZero() && t.Before(w.cfg.Now()) },
		"rfc":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"bytes": size.Text,
		"count": grouped, "plural": plural,
		"short": shortened,
		"hex":   func(b any) string { return fmt.Sprintf("%x", b) },
		"words": func(code any) string { return strings.NewReplacer("_", " ", ".", " ").Replace(fmt.Sprint(code)) },
		"args":  args, "sentence": sentence,
	}
}

// args makes a map of names and values, for parts that take several.
func args(pairs ...any) (map[string]any, error) {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("argument %d is not a name", i)
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
