package web

import (
	"net/http"
	"net/url"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// channelsPage is what the template needs.
type channelsPage struct {
	Channels []shownChannel
	Fields   url.Values // of the form, as it was given
}

// shownChannel is a channel with what it stands for now.
type shownChannel struct {
	store.Channel
	ImageName string
	InForce   wire.UUID // zero: nothing
}

func (w *Web) listChannels(rw http.ResponseWriter, r *request) error {
	return w.renderChannels(rw, r, http.StatusOK, page{})
}

func (w *Web) renderChannels(rw http.ResponseWriter, r *request, status int, p page) error {
	ctx := r.Context()
	channels, err := w.cfg.Store.Channels(ctx)
	if err != nil {
		return err
	}
	body := channelsPage{Fields: r.PostForm}
	for _, c := range channels {
		shown := shownChannel{Channel: c}
		if shown.InForce, err = w.cfg.Registry.InForce(ctx, c); err != nil {
			return err
		}
		image, err := w.cfg.Store.ImageByID(ctx, c.Image)
		if err != nil {
			return err
		}
		shown.ImageName = image.Name
		body.Channels = append(body.Channels, shown)
		if r.Method == http.MethodGet && c.Name == r.URL.Query().Get("move") {
			body.Fields = moving(c)
		}
	}
	p.Name, p.Title, p.Nav, p.Body = "channels.html", "Channels", "channels", body
	return w.render(rw, r, status, p)
}

// moving returns the fields with which a channel is moved from where it is.
func moving(c store.Channel) url.Values {
	fields := url.Values{"name": {c.Name}, "image": {c.Image.String()}, "previous_image": {c.Image.String()}}
	if !c.Release.IsZero() {
		fields["release"], fields["previous_release"] = []string{c.Release.String()}, []string{c.Release.String()}
	}
	return fields
}

// setChannel makes a channel, or moves it from what its page showed.
func (w *Web) setChannel(rw http.ResponseWriter, r *request) error {
	change, err := readChange(r.PostForm)
	if err == nil {
		err = w.cfg.Registry.SetChannel(r.Context(), r.who(), r.PostForm.Get("name"), change)
	}
	if p, ok := asProblem(err); ok {
		return w.renderChannels(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return redirect(rw, r, "/channels", "changed")
}

// readChange reads a form. The error is a *problem.
func readChange(form url.Values) (change wire.ChannelChange, err error) {
	target, err := readTarget(form.Get("image"), form.Get("release"))
	if err != nil {
		return change, err
	}
	change.Target = *target
	if form.Get("previous_image") != "" {
		change.Previous, err = readTarget(form.Get("previous_image"), form.Get("previous_release"))
	}
	return change, err
}

func readTarget(image, release string) (*wire.ChannelTarget, error) {
	var target wire.ChannelTarget
	var err error
	if target.ImageID, err = wire.ParseUUID(image); err != nil {
		return nil, refused("Image: want the ID of an image.")
	}
	if release == "" {
		return &target, nil
	}
	id, err := wire.ParseUUID(release)
	if err != nil {
		return nil, refused("Release: want the ID of a release, or nothing for the newest that is approved.")
	}
	target.ReleaseID = &id
	return &target, nil
}

func (w *Web) deleteChannel(rw http.ResponseWriter, r *request) error {
	name := r.PostForm.Get("name")
	if !r.sure() {
		return w.ask(rw, r, "channels", question{
			Title: "Delete " + name + "?", Yes: "Delete the channel", Back: "/channels",
			Detail: "Templates and launchers that name it fail from then on. The image and the release that it stands for stay.",
		})
	}
	if err := w.cfg.Registry.DeleteChannel(r.Context(), r.who(), name); err != nil {
		return err
	}
	return redirect(rw, r, "/channels", "deleted")
}
