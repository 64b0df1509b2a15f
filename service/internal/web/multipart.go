package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"
)

// form is a multipart form that is read as it comes: fields first, files after
// them, as they stand on the page.
type form struct {
	parts   *multipart.Reader
	fields  url.Values
	next    *multipart.Part // the first file; nil at the end
	control *http.ResponseController
	body    io.Reader
	stall   time.Duration // how long it may stand still
}

// paced is a body that must keep up the pace.
type paced struct {
	io.Reader
	io.Closer
}

const maxPart = 128 << 10 // a field, in bytes

// openForm reads the fields of a form and checks its token.
func (w *Web) openForm(rw http.ResponseWriter, r *request, most int64) (*form, error) {
	body := http.MaxBytesReader(rw, r.Body, most)
	r.Body = paced{w.cfg.Pace.Reader(body, r.control), body}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, bodyProblem(err)
	}
	f := &form{parts: parts, fields: make(url.Values), control: r.control, body: body, stall: w.cfg.Pace.Stall}
	if err := f.readFields(); err != nil {
		return nil, err
	}
	return f, r.checkToken(f.fields.Get(fieldToken))
}

// readFields reads up to the first file.
func (f *form) readFields() error {
	total := 0
	for {
		part, err := f.parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bodyProblem(err)
		}
		if part.FileName() != "" || part.Header.Get("Content-Type") != "" {
			f.next = part
			return nil
		}
		data, err := io.ReadAll(io.LimitReader(part, maxPart+1))
		if err != nil {
			return bodyProblem(err)
		}
		if total += len(data); len(data) > maxPart || total > maxForm {
			return bodyProblem(&http.MaxBytesError{Limit: maxPart})
		}
		f.fields.Add(part.FormName(), string(data))
	}
}

// file returns the file of this name, which has to come next. One that was not
// chosen has no name and is empty.
func (f *form) file(name string) (io.Reader, error) {
	if f.next == nil || f.next.FormName() != name || f.next.FileName() == "" {
		return nil, refused("Choose a file first.")
	}
	return f.next, nil
}

// advance moves on to the next part, nil at the end.
func (f *form) advance() error {
	part, err := f.parts.NextRawPart()
	if errors.Is(err, io.EOF) {
		f.next = nil
		return nil
	}
	if err != nil {
		return bodyProblem(err)
	}
	f.next = part
	return nil
}

// drain reads the rest of a body that is of no use, so that the browser, which
// listens only after it has sent all, learns what was wrong.
func (f *form) drain() {
	buffer := make([]byte, 64<<10)
	for {
		if ignoreUnsupported(f.control.SetReadDeadline(time.Now().Add(f.stall))) != nil {
			return
		}
		if _, err := f.body.Read(buffer); err != nil {
			return
		}
	}
}
