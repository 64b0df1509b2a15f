package api

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

func (a *API) update(w http.ResponseWriter, r *request) error {
	return guestCall(w, r, a.cfg.Updater.Update)
}

func (a *API) confirm(w http.ResponseWriter, r *request) error {
	return guestCall(w, r, a.cfg.Updater.Confirm)
}

func (a *API) claim(w http.ResponseWriter, r *request) error {
	return guestCall(w, r, a.cfg.Booter.Claim)
}

func (a *API) ready(w http.ResponseWriter, r *request) error {
	return guestCall(w, r, a.cfg.Booter.Ready)
}

func (a *API) commit(w http.ResponseWriter, r *request) error {
	return guestCall(w, r, a.cfg.Booter.Commit)
}

// guestCall answers a call of a guest that was given its keys.
func guestCall[C any, P interface {
	*C
	Validate() error
}](w http.ResponseWriter, r *request, call func(context.Context, P, unlock.Caller) (*wire.GuestAnswer, error)) error {
	body := P(new(C))
	if err := readJSON(r, body); err != nil {
		return err
	}
	if err := body.Validate(); err != nil {
		return malformed("%v", err)
	}
	answer, err := call(r.Context(), body, unlock.Caller{RequestID: r.actor.RequestID, Address: r.actor.Address, Block: r.actor.Origin})
	if errors.Is(err, wire.ErrShape) {
		return malformed("the call is malformed").because(err)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// guestBundle writes the launch bundle that a guest was told of.
func (a *API) guestBundle(w http.ResponseWriter, r *request) error {
	var body wire.BundleRequest
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if err := body.Validate(); err != nil {
		return malformed("%v", err)
	}
	bundle, err := a.cfg.Updater.Bundle(r.Context(), body.Ticket)
	if err != nil {
		return err
	}
	defer bundle.Close()
	return SendBundle(a.cfg.Limits.Pace.Writer(w, r.control), bundle.Export)
}

func (a *API) listMachines(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	q := queryOf(r, []string{"cursor", "limit"})
	limit := int(q.number("limit", store.MaxPage))
	if q.err != nil {
		return q.err
	}
	if _, err := a.cfg.Store.ImageByID(r.Context(), id); err != nil {
		return err
	}
	page, err := a.cfg.Store.ListMachines(r.Context(), id, q.get("cursor"), limit)
	if err != nil {
		return err
	}
	list := wire.MachineList{Machines: []wire.Machine{}, Next: page.Next}
	for i := range page.Items {
		list.Machines = append(list.Machines, wireMachine(&page.Items[i]))
	}
	return writeJSON(w, http.StatusOK, list)
}

func wireMachine(m *store.Machine) wire.Machine {
	out := wire.Machine{
		ID: m.ID, SeenAt: m.SeenAt, Release: m.Release, Running: m.Running, Failed: m.Failed, Confirmed: m.Confirmed,
		ConfirmedAt: orNull(m.ConfirmedAt), Kernels: []wire.MachineKernel{},
	}
	for _, k := range m.Kernels {
		out.Kernels = append(out.Kernels, wire.MachineKernel{Release: k.Release, SHA256: hex.EncodeToString(k.SHA256[:]), Newer: k.Newer})
	}
	return out
}

func (a *API) showFleet(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	if _, err := a.cfg.Store.ImageByID(r.Context(), id); err != nil {
		return err
	}
	fleet, err := a.cfg.Store.Fleet(r.Context(), id)
	if err != nil {
		return err
	}
	out := wire.Fleet{Machines: fleet.Machines, Releases: []wire.ReleaseGuests{}, Waiting: []wire.WaitingKernel{}}
	for _, u := range fleet.Releases {
		out.Releases = append(out.Releases, wire.ReleaseGuests{Release: u.Release, Running: u.Running, Confirmed: u.Confirmed})
	}
	for _, k := range fleet.Waiting {
		out.Waiting = append(out.Waiting, wire.WaitingKernel{Kernel: k.Kernel, SHA256: hex.EncodeToString(k.SHA256[:]), Machines: k.Machines})
	}
	return writeJSON(w, http.StatusOK, out)
}
