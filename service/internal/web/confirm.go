package web

import (
	"net/http"
	"net/url"
)

// question is asked before something that cuts guests or programs off, or gives them
// keys. It is a page,
// so that it is asked without the script too.
type question struct {
	Title, Detail string
	Yes           string // on the button that does it
	Grants        bool   // it lets somebody in rather than cut somebody off
	Uses          bool   // it says whom a release is needed by
	Reasoned      bool   // it takes a reason
	Back          string // path of the page where nothing is done

	// Set by ask.
	Path   string
	Fields url.Values // of the form that led here
}

// fieldSure is in the form of a question, and says that it was answered.
const fieldSure = "sure"

// sure reports whether the question about this form was answered with yes.
func (r *request) sure() bool { return r.PostForm.Get(fieldSure) == "yes" }

// ask asks. The answer comes to the same path, with the fields of the same form.
func (w *Web) ask(rw http.ResponseWriter, r *request, nav string, q question) error {
	q.Path, q.Fields = r.URL.Path, url.Values{}
	for name, values := range r.PostForm {
		if name != fieldToken && name != fieldSure {
			q.Fields[name] = values
		}
	}
	return w.render(rw, r, http.StatusOK, page{Name: "confirm.html", Title: q.Title, Nav: nav, Body: q})
}
