package web

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// instancePage is what the template needs.
type instancePage struct {
	store.Instance
	ImageName   string
	HostData    string
	HasRecovery bool
	GoneAt      time.Time // of a deleted one
	Events      []shownRecord
	Restoring   string // in the form, as it was given
}

// instanceOf returns the instance in the path.
func (w *Web) instanceOf(r *request) (store.Instance, error) {
	id, err := r.id("iid")
	if err != nil {
		return store.Instance{}, err
	}
	return w.cfg.Store.InstanceByID(r.Context(), id)
}

func (w *Web) showInstance(rw http.ResponseWriter, r *request) error {
	return w.renderInstance(rw, r, http.StatusOK, page{})
}

// renderInstance shows the instance in the path, with a problem that there was.
func (w *Web) renderInstance(rw http.ResponseWriter, r *request, status int, p page) error {
	instance, err := w.instanceOf(r)
	if err != nil {
		return err
	}
	image, err := w.cfg.Store.ImageByID(r.Context(), instance.Image)
	if err != nil {
		return err
	}
	hostData := wire.HostData(instance.ID)
	body := instancePage{
		Instance: instance, ImageName: image.Name, HostData: hex.EncodeToString(hostData[:]), HasRecovery: len(instance.Recovery) > 0,
		Restoring: r.PostForm.Get("generation"),
	}
	if !instance.DeletedAt.IsZero() {
		body.GoneAt = instance.DeletedAt.Add(store.UndoPeriod)
	}
	events, err := w.cfg.Store.ListAudit(r.Context(), store.AuditFilter{InstanceID: instance.ID}, store.AuditRange{Limit: shownEvents})
	if err != nil {
		return err
	}
	if body.Events, err = w.showRecords(r.Context(), events); err != nil {
		return err
	}
	p.Name, p.Title, p.Nav, p.Body = "instance.html", instance.Name, "instances", body
	return w.render(rw, r, status, p)
}

// changeInstance changes the instance in the path and shows it again.
func (w *Web) changeInstance(rw http.ResponseWriter, r *request, notice string, change func(ctx context.Context, actor access.Actor, id wire.UUID) error) error {
	id, err := r.id("iid")
	if err != nil {
		return err
	}
	err = change(r.Context(), r.who(), id)
	if p, ok := asProblem(err); ok && p.Status != http.StatusNotFound {
		return w.renderInstance(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return redirect(rw, r, "/instances/"+id.String(), notice)
}

func (w *Web) enableInstance(rw http.ResponseWriter, r *request) error {
	enabled, notice := wantEnabled(r)
	if !enabled && !r.sure() {
		instance, err := w.instanceOf(r)
		if err != nil {
			return err
		}
		return w.ask(rw, r, "instances", question{
			Title: "Disable " + instance.Name + "?", Yes: "Disable the instance", Back: "/instances/" + instance.ID.String(),
			Detail: "When this VM starts or restarts it gets no key, until it is enabled again. While it runs it is not affected.",
		})
	}
	return w.changeInstance(rw, r, notice, func(ctx context.Context, actor access.Actor, id wire.UUID) error {
		return w.cfg.Registry.PatchInstance(ctx, actor, id, wire.InstancePatch{Enabled: &enabled})
	})
}

// namedInstance wants the name typed, so that nobody gives up another disk than meant. It
// returns false when it has answered.
func (w *Web) namedInstance(rw http.ResponseWriter, r *request, otherwise string) (bool, error) {
	instance, err := w.instanceOf(r)
	if err != nil || r.PostForm.Get("typed") == instance.Name {
		return err == nil, err
	}
	return false, w.renderInstance(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
		Title: otherwise, Detail: "The name that you typed is not the name of the instance.",
	}})
}

func (w *Web) resetInstance(rw http.ResponseWriter, r *request) error {
	if named, err := w.namedInstance(rw, r, "The instance was not reset."); !named {
		return err
	}
	return w.changeInstance(rw, r, "reset", w.cfg.Registry.ResetInstance)
}

func (w *Web) deleteInstance(rw http.ResponseWriter, r *request) error {
	if named, err := w.namedInstance(rw, r, "The instance was not deleted."); !named {
		return err
	}
	return w.changeInstance(rw, r, "undoable", w.cfg.Registry.DeleteInstance)
}

func (w *Web) undeleteInstance(rw http.ResponseWriter, r *request) error {
	return w.changeInstance(rw, r, "undeleted", w.cfg.Registry.UndeleteInstance)
}

func (w *Web) allowRestore(rw http.ResponseWriter, r *request) error {
	generation, err := strconv.ParseUint(strings.TrimSpace(r.PostForm.Get("generation")), 10, 64)
	if err != nil {
		return w.renderInstance(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
			Title: "No restore was allowed.", Detail: "Enter the generation of the disk that is restored, a number.",
		}})
	}
	return w.changeInstance(rw, r, "allowed", func(ctx context.Context, actor access.Actor, id wire.UUID) error {
		return w.cfg.Registry.AllowRestore(ctx, actor, id, wire.RestoreAllowance{Generation: generation})
	})
}

// downloadRecovery leaves a record, so that it is no link.
func (w *Web) downloadRecovery(rw http.ResponseWriter, r *request) error {
	id, err := r.id("iid")
	if err != nil {
		return err
	}
	recovery, err := w.cfg.Registry.Recovery(r.Context(), r.who(), id)
	if p, ok := asProblem(err); ok && p.Status != http.StatusNotFound {
		return w.renderInstance(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return api.SendRecovery(rw, id, recovery)
}

// changeInstances sets what an image says of its instances.
func (w *Web) changeInstances(rw http.ResponseWriter, r *request) error {
	settings := wire.InstanceSettings{
		Mode: wire.InstanceMode(r.PostForm.Get("mode")), Generation: wire.GenerationMode(r.PostForm.Get("generation")),
	}
	if text := strings.TrimSpace(r.PostForm.Get("instances")); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return w.renderImage(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
				Title: "The instances were not changed.", Detail: "Enter the number of instances that launches may make, for auto.",
			}})
		}
		settings.Limit = n
	}
	return w.changeImage(rw, r, wire.ImagePatch{Instances: &settings}, "changed")
}
