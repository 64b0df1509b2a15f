package api

import (
	"io"
	"net/http"
	"time"
)

// Pace is how slowly a client may send or take a large body.
type Pace struct {
	Stall   time.Duration // without anything
	MinRate int64         // bytes a second, on average
}

// deadline is when n bytes more or less must have gone through.
func (p Pace) deadline(start time.Time, n int64) time.Time {
	stalled := time.Now().Add(p.Stall)
	average := start.Add(p.Stall + time.Duration(float64(n)/float64(p.MinRate)*float64(time.Second)))
	if average.Before(stalled) {
		return average
	}
	return stalled
}

// pacedReader reads a body that must keep up the pace. At its end the pace ends
// too: a deadline after that would end the request.
type pacedReader struct {
	io.Reader
	control *http.ResponseController
	pace    Pace
	start   time.Time
	n       int64
	err     error // io.EOF, or what went wrong
}

// Reader returns a reader of a request's body at this pace.
func (p Pace) Reader(r io.Reader, c *http.ResponseController) io.Reader {
	return &pacedReader{Reader: r, control: c, pace: p, start: time.Now()}
}

// Read implements io.Reader.
func (r *pacedReader) Read(p []byte) (n int, err error) {
	if r.err == nil {
		r.err = readBy(r.control, r.pace.deadline(r.start, r.n))
	}
	if r.err != nil {
		return 0, r.err
	}
	n, r.err = r.Reader.Read(p)
	r.n += int64(n)
	return n, r.err
}

// pacedWriter writes an answer to a client that must keep up the pace.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    Pace
	start   time.Time
	n       int64
}

// Writer returns an answer that is written at this pace.
func (p Pace) Writer(w http.ResponseWriter, c *http.ResponseController) http.ResponseWriter {
	return &pacedWriter{ResponseWriter: w, control: c, pace: p, start: time.Now()}
}

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (int, error) {
	if err := writeBy(w.control, w.pace.deadline(w.start, w.n+int64(len(p)))); err != nil {
		return 0, err
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}
