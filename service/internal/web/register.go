package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// registerPage is what the template needs.
type registerPage struct {
	Of        *imageRef // of a further release; nil for a new image
	Types     []string
	Chosen    map[string]bool // of them
	Fields    url.Values      // as they were given
	Ingestion string          // the key that unsealing keys are sealed to
}

// firstFamily is the processor family, 19h, of Milan: none before it has SEV-SNP.
const firstFamily = 0x19

func (w *Web) showRegister(rw http.ResponseWriter, r *request) error {
	fields := url.Values{"vcpus": {"2"}, "image_id": {""}}
	if id := r.URL.Query().Get("image_id"); id != "" {
		fields.Set("image_id", id)
		fields.Set("further", id)
	}
	return w.renderRegister(rw, r, http.StatusOK, page{}, fields)
}

func (w *Web) renderRegister(rw http.ResponseWriter, r *request, status int, p page, fields url.Values) error {
	body := registerPage{Fields: fields, Chosen: map[string]bool{}, Ingestion: w.cfg.Info.IngestionKeyFingerprint}
	for _, t := range measure.VCPUTypes() {
		if t.Family() >= firstFamily {
			body.Types = append(body.Types, t.Name)
		}
	}
	for _, name := range fields["vcpu_type"] {
		body.Chosen[name] = true
	}
	if text := fields.Get("further"); text != "" {
		id, err := wire.ParseUUID(text)
		if err != nil {
			return missing(err)
		}
		image, err := w.cfg.Store.ImageByID(r.Context(), id)
		if err != nil {
			return err
		}
		body.Of = &imageRef{id, image.Name}
	}
	p.Name, p.Title, p.Nav, p.Body = "register.html", "Register an image", "register", body
	if body.Of != nil {
		p.Title = "Register a release"
	}
	return w.render(rw, r, status, p)
}

// readRegistration makes a registration of a form's fields.
func readRegistration(fields url.Values) (*wire.Registration, error) {
	id, err := wire.ParseUUID(strings.TrimSpace(fields.Get("image_id")))
	if err != nil {
		return nil, refused("Image ID: want the UUID that the conversion gave the image.")
	}
	in := &wire.Registration{
		ImageID: id, Name: fields.Get("name"), Disabled: fields.Get("disabled") == "true",
		VCPUTypes: fields["vcpu_type"], GuestPolicy: strings.TrimSpace(fields.Get("guest_policy")),
	}
	if in.Labels, err = parseLabels(fields.Get("labels")); err != nil {
		return nil, err
	}
	if in.Findings, err = readFindings(fields); err != nil {
		return nil, err
	}
	for _, text := range strings.FieldsFunc(fields.Get("vcpus"), func(c rune) bool { return c == ',' || c == ' ' }) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, refused("Numbers of vCPUs: want numbers separated by commas.")
		}
		in.VCPUs = append(in.VCPUs, n)
	}
	if text := strings.TrimSpace(fields.Get("guest_svn")); text != "" {
		svn, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, refused("Guest SVN: want a number.")
		}
		in.GuestSVN = uint32(svn)
	}
	if text := strings.TrimSpace(fields.Get("policy")); text != "" {
		if in.Policy = json.RawMessage(text); !json.Valid(in.Policy) {
			return nil, refused("Report policy: want JSON.")
		}
	}
	return in, nil
}

// readFindings reads the findings of conversion.json, nil when there are none to
// read, and which of them are accepted.
func readFindings(fields url.Values) ([]wire.Finding, error) {
	text := strings.TrimSpace(fields.Get("findings"))
	if text == "" {
		return nil, nil
	}
	var list []staging.Finding
	if err := strictjson.Decode([]byte(text), &list); err != nil {
		return nil, refused("Findings: want the list from conversion.json.")
	}
	return staging.Unmended(list, strings.FieldsFunc(fields.Get("accepted"), func(c rune) bool { return c == ',' || c == ' ' })), nil
}

// register takes a registration as it comes.
func (w *Web) register(rw http.ResponseWriter, r *request) error {
	form, err := w.openForm(rw, r, w.cfg.MaxUpload+2*maxForm)
	if err != nil {
		return err
	}
	image, release, err := w.registerForm(r, form)
	if p, ok := asProblem(err); ok {
		form.drain()
		if wantsJSON(r.Request) {
			return p
		}
		return w.renderRegister(rw, r, p.Status, page{Problem: p}, form.fields)
	}
	if err != nil {
		return err
	}
	path, notice := "/images/"+image.ID.String()+"/releases/"+release.ID.String(), "registered"
	if form.fields.Get("further") != "" {
		notice = "release"
	}
	if wantsJSON(r.Request) {
		rw.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(rw).Encode(map[string]string{"location": path + "?done=" + notice})
	}
	return redirect(rw, r, path, notice)
}

func (w *Web) registerForm(r *request, f *form) (image store.Image, release store.Release, err error) {
	in, err := readRegistration(f.fields)
	if err != nil {
		return image, release, err
	}
	begin := w.cfg.Registry.UploadImage
	if f.fields.Get("further") != "" {
		begin = func(ctx context.Context, actor access.Actor) (*registry.Upload, error) {
			return w.cfg.Registry.UploadRelease(ctx, actor, in.ImageID)
		}
	}
	upload, err := begin(r.Context(), r.who())
	if err != nil {
		return image, release, err
	}
	defer upload.Abort()
	if err := upload.Begin(r.Context(), *in); err != nil {
		return image, release, err
	}
	if err := f.addTo(r.Context(), upload); err != nil {
		return image, release, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.FinishTime)
	defer cancel()
	return upload.Finish(ctx)
}

// addTo hands the files of a form to an upload, as they come.
func (f *form) addTo(ctx context.Context, upload *registry.Upload) error {
	cmdline := strings.NewReader(strings.TrimRight(f.fields.Get("cmdline"), "\r\n"))
	if err := upload.Add(ctx, registry.PartCmdline, cmdline); err != nil {
		return err
	}
	for f.next != nil {
		if f.next.FileName() != "" {
			file := &api.ClientReader{Reader: f.next}
			err := upload.Add(ctx, f.next.FormName(), file)
			if file.Err != nil {
				return bodyProblem(file.Err)
			}
			if err != nil {
				return err
			}
		}
		if err := f.advance(); err != nil {
			return err
		}
	}
	return nil
}
