package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func (a *API) listInstances(w http.ResponseWriter, r *request) error {
	q := queryOf(r, []string{"image", "state", "search", "deleted", "cursor", "limit"})
	filter := store.InstanceFilter{Image: q.uuid("image"), Search: q.get("search")}
	filter.State = wire.InstanceState(q.oneOf("state", string(wire.StateNew), string(wire.StateClaimed), string(wire.StateReady)))
	if deleted := q.flag("deleted"); deleted != nil {
		filter.Deleted = *deleted
	}
	limit := int(q.number("limit", store.MaxPage))
	if q.err != nil {
		return q.err
	}
	page, err := a.cfg.Store.ListInstances(r.Context(), filter, q.get("cursor"), limit)
	if err != nil {
		return err
	}
	list := wire.InstanceList{Instances: []wire.Instance{}, Next: page.Next}
	names := make(map[wire.UUID]string)
	for i := range page.Items {
		image := page.Items[i].Image
		if _, known := names[image]; !known {
			if names[image], err = a.imageName(r.Context(), image); err != nil {
				return err
			}
		}
		list.Instances = append(list.Instances, wireInstance(&page.Items[i], names[image]))
	}
	return writeJSON(w, http.StatusOK, list)
}

func (a *API) imageName(ctx context.Context, id wire.UUID) (string, error) {
	image, err := a.cfg.Store.ImageByID(ctx, id)
	return image.Name, err
}

func (a *API) createInstance(w http.ResponseWriter, r *request) error {
	var creation wire.InstanceCreation
	if err := readJSON(r, &creation); err != nil {
		return err
	}
	made, err := a.cfg.Registry.CreateInstance(r.Context(), r.actor, creation)
	if err != nil {
		return err
	}
	w.Header().Set("Location", wire.PathInstances+"/"+made.ID.String())
	return a.writeInstance(r.Context(), w, http.StatusCreated, &made)
}

func (a *API) writeInstance(ctx context.Context, w http.ResponseWriter, status int, i *store.Instance) error {
	name, err := a.imageName(ctx, i.Image)
	if err != nil {
		return err
	}
	return writeJSON(w, status, wireInstance(i, name))
}

func (a *API) showInstance(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	instance, err := a.cfg.Store.InstanceByID(r.Context(), id)
	if err != nil {
		return err
	}
	return a.writeInstance(r.Context(), w, http.StatusOK, &instance)
}

// changed handles a change of an instance and answers with it.
func (a *API) changed(change func(ctx context.Context, actor access.Actor, id wire.UUID) error) func(http.ResponseWriter, *request) error {
	return func(w http.ResponseWriter, r *request) error {
		id, err := r.uuid("id")
		if err != nil {
			return err
		}
		if err := change(r.Context(), r.actor, id); err != nil {
			return err
		}
		return a.showInstance(w, r)
	}
}

// changedBy handles a change of an instance by what the body says, and answers with it.
func changedBy[T any](a *API, change func(ctx context.Context, actor access.Actor, id wire.UUID, by T) error) func(http.ResponseWriter, *request) error {
	return func(w http.ResponseWriter, r *request) error {
		var by T
		if err := readJSON(r, &by); err != nil {
			return err
		}
		return a.changed(func(ctx context.Context, actor access.Actor, id wire.UUID) error { return change(ctx, actor, id, by) })(w, r)
	}
}

func (a *API) deleteInstance(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	if err := a.cfg.Registry.DeleteInstance(r.Context(), r.actor, id); err != nil {
		return err
	}
	return writeNothing(w)
}

// recovery writes the age file of an instance.
func (a *API) recovery(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	recovery, err := a.cfg.Registry.Recovery(r.Context(), r.actor, id)
	if err != nil {
		return err
	}
	return SendRecovery(w, id, recovery)
}

// SendRecovery sends the volume key of an instance, encrypted to its owner.
func SendRecovery(w http.ResponseWriter, id wire.UUID, recovery []byte) error {
	attach(w, typeBytes, "instance-"+id.String()+".age")
	w.Header().Set("Content-Length", strconv.Itoa(len(recovery)))
	if _, err := w.Write(recovery); err != nil {
		return fmt.Errorf("write recovery: %w", err)
	}
	return nil
}
