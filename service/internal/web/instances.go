package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// instancesPage is what the template needs.
type instancesPage struct {
	Name, Image, State string // the filter as it was given
	Filtered           bool
	Instances          []listedInstance
	First, Next        string
	Fields             url.Values // of the form, as it was given
}

// listedInstance is an instance in the list.
type listedInstance struct {
	store.Instance
	ImageName string
}

// stateDeleted is the filter's choice beside the states.
const stateDeleted = "deleted"

// filter reads the list's filter. The error is a *problem, and what can be read of the
// filter is returned with it.
func (p *instancesPage) filter(q url.Values) (filter store.InstanceFilter, err error) {
	p.Name, p.Image, p.State = strings.TrimSpace(q.Get("name")), strings.TrimSpace(q.Get("image")), q.Get("state")
	p.Filtered = p.Name != "" || p.Image != "" || p.State != ""
	filter.Search = p.Name
	switch p.State {
	case stateDeleted:
		filter.Deleted = true
	case string(wire.StateNew), string(wire.StateClaimed), string(wire.StateReady):
		filter.State = wire.InstanceState(p.State)
	}
	if p.Image != "" {
		if filter.Image, err = wire.ParseUUID(p.Image); err != nil {
			return filter, refused("Image: want its ID.")
		}
	}
	return filter, nil
}

func (w *Web) listInstances(rw http.ResponseWriter, r *request) error {
	return w.renderInstances(rw, r, http.StatusOK, page{})
}

func (w *Web) renderInstances(rw http.ResponseWriter, r *request, status int, p page) error {
	body := instancesPage{Fields: r.PostForm}
	filter, err := body.filter(r.URL.Query())
	if refusal, ok := asProblem(err); ok {
		status, p.Problem = refusal.Status, refusal
	}
	if r.Method != http.MethodPost {
		body.Fields = url.Values{"image": {body.Image}}
	}
	found, err := w.cfg.Store.ListInstances(r.Context(), filter, r.URL.Query().Get("cursor"), store.DefaultPage)
	if err != nil {
		return err
	}
	names := make(map[wire.UUID]string)
	for _, i := range found.Items {
		if _, known := names[i.Image]; !known {
			image, err := w.cfg.Store.ImageByID(r.Context(), i.Image)
			if err != nil {
				return err
			}
			names[i.Image] = image.Name
		}
		body.Instances = append(body.Instances, listedInstance{i, names[i.Image]})
	}
	if r.Method != http.MethodPost {
		body.First, body.Next = pages(r, found.Next)
	}
	p.Name, p.Title, p.Nav, p.Body = "instances.html", "Instances", "instances", body
	return w.render(rw, r, status, p)
}

func (w *Web) createInstance(rw http.ResponseWriter, r *request) error {
	image, err := wire.ParseUUID(strings.TrimSpace(r.PostForm.Get("image")))
	if err != nil {
		return w.renderInstances(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
			Title: "The instance was not created.", Detail: "Enter the ID of its image.",
		}})
	}
	made, err := w.cfg.Registry.CreateInstance(r.Context(), r.who(), wire.InstanceCreation{ImageID: image, Name: r.PostForm.Get("name")})
	if p, ok := asProblem(err); ok {
		return w.renderInstances(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return redirect(rw, r, "/instances/"+made.ID.String(), "created")
}
