package api

import (
	"context"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// channelName returns the name of the channel in the path.
func channelName(r *request) string { return r.params.ByName("family") + "/" + r.params.ByName("name") }

func (a *API) wireChannel(ctx context.Context, c store.Channel) (wire.Channel, error) {
	inForce, err := a.cfg.Registry.InForce(ctx, c)
	return wire.Channel{
		Name: c.Name, ImageID: c.Image, ReleaseID: noneOrID(c.Release), InForce: noneOrID(inForce), ChangedAt: c.ChangedAt, ChangedBy: c.ChangedBy,
	}, err
}

// noneOrID returns nil for no ID at all.
func noneOrID(id wire.UUID) *wire.UUID {
	if id.IsZero() {
		return nil
	}
	return &id
}

func (a *API) listChannels(w http.ResponseWriter, r *request) error {
	if q := queryOf(r, nil); q.err != nil {
		return q.err
	}
	channels, err := a.cfg.Registry.Store.Channels(r.Context())
	if err != nil {
		return err
	}
	list := wire.ChannelList{Channels: []wire.Channel{}}
	for _, c := range channels {
		shown, err := a.wireChannel(r.Context(), c)
		if err != nil {
			return err
		}
		list.Channels = append(list.Channels, shown)
	}
	return writeJSON(w, http.StatusOK, list)
}

func (a *API) showChannel(w http.ResponseWriter, r *request) error {
	channel, err := a.cfg.Registry.Store.Channel(r.Context(), channelName(r))
	if err != nil {
		return err
	}
	shown, err := a.wireChannel(r.Context(), channel)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, shown)
}

func (a *API) setChannel(w http.ResponseWriter, r *request) error {
	var change wire.ChannelChange
	if err := readJSON(r, &change); err != nil {
		return err
	}
	if err := a.cfg.Registry.SetChannel(r.Context(), r.actor, channelName(r), change); err != nil {
		return err
	}
	return a.showChannel(w, r)
}

func (a *API) deleteChannel(w http.ResponseWriter, r *request) error {
	if err := a.cfg.Registry.DeleteChannel(r.Context(), r.actor, channelName(r)); err != nil {
		return err
	}
	return writeNothing(w)
}
