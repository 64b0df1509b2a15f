package web

import (
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// decision is a button of a release's page: what is asked before, and what is done.
type decision struct {
	question question // its Title gets the release
	notice   string
	do       func(r *request, image, release wire.UUID) error
}

// decide asks, and decides on the release in the path.
func (w *Web) decide(d decision) func(http.ResponseWriter, *request) error {
	return func(rw http.ResponseWriter, r *request) error {
		image, id, err := w.releaseOf(r)
		if err != nil {
			return err
		}
		if !r.sure() {
			body, err := w.releasePage(r.Context(), image, id)
			if err != nil {
				return err
			}
			q := d.question
			q.Title, q.Back = q.Title+" release "+id.String()[:8]+" of "+image.Name+"?", body.Path
			if q.Uses {
				q.Detail += " So far: " + body.Use + "."
			}
			return w.ask(rw, r, "images", q)
		}
		err = d.do(r, image.ID, id)
		if p, ok := asProblem(err); ok && p.Status != http.StatusNotFound {
			return w.renderRelease(rw, r, p.Status, page{Problem: p})
		}
		if err != nil {
			return err
		}
		return redirect(rw, r, "/images/"+image.ID.String()+"/releases/"+id.String(), d.notice)
	}
}

// approve approves what the page showed, and nothing that was made of it since.
func (w *Web) approve() decision {
	return decision{
		question{Title: "Approve", Yes: "Approve the release", Grants: true, Detail: "From then on, guests of this release get the key to every disk of the image."},
		"approved",
		func(r *request, image, release wire.UUID) error {
			return w.cfg.Registry.Approve(r.Context(), r.who(), image, release, wire.Approval{ContentHash: r.PostForm.Get("content")})
		},
	}
}

func (w *Web) reject() decision {
	return decision{
		question{Title: "Reject", Yes: "Reject the release", Reasoned: true, Detail: "It never unlocks anything, and nobody can add the same files again, unless an admin restores it."},
		"rejected",
		func(r *request, image, release wire.UUID) error {
			return w.cfg.Registry.Reject(r.Context(), r.who(), image, release, wire.Rejection{Reason: r.PostForm.Get("reason")})
		},
	}
}

// retire knows what is in use: the question says it.
func (w *Web) retire() decision {
	return decision{
		question{
			Title: "Retire", Yes: "Retire the release", Uses: true, Reasoned: true,
			Detail: "Guests of this release that start or restart get no key, also those that are powered off now, until an admin restores it. Running guests are not affected.",
		},
		"retired",
		func(r *request, image, release wire.UUID) error {
			return w.cfg.Registry.Retire(r.Context(), r.who(), image, release, wire.Retirement{Reason: r.PostForm.Get("reason"), InUse: true})
		},
	}
}

func (w *Web) restore() decision {
	return decision{
		question{Title: "Restore", Yes: "Restore the release", Grants: true, Reasoned: true, Detail: "A retired release is in force again, a rejected one waits for approval again."},
		"restored",
		func(r *request, image, release wire.UUID) error {
			return w.cfg.Registry.Restore(r.Context(), r.who(), image, release, wire.Restoration{Reason: r.PostForm.Get("reason")})
		},
	}
}
