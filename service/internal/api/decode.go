package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// Content types.
const (
	typeJSON      = "application/json"
	typeLines     = "application/jsonl"
	typeMultipart = "multipart/form-data"
	typeGzip      = "application/gzip"
	typeBytes     = "application/octet-stream"
)

// checkType wants the content type that a route takes. JSON may say that it is
// UTF-8, a multipart body has to name its boundary; nothing else may be there.
func checkType(r *http.Request, want string) error {
	header := r.Header.Values("Content-Type")
	if len(header) != 1 {
		return fail(wire.CodeUnsupportedType, "send one Content-Type header: %s", want)
	}
	got, params, err := mime.ParseMediaType(header[0])
	if err != nil || got != want {
		return fail(wire.CodeUnsupportedType, "the content type must be %s", want)
	}
	for name, value := range params {
		switch {
		case want == typeMultipart && name == "boundary":
		case want == typeJSON && name == "charset" && strings.EqualFold(value, "utf-8"):
		default:
			return fail(wire.CodeUnsupportedType, "the content type has the unsupported parameter %.40q", name)
		}
	}
	return nil
}

// readJSON reads the body of a route that takes JSON into out, strictly.
func readJSON(r *request, out any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	return decodeJSON(body, out)
}

// bodyError keeps what classify knows and makes all else the client's fault: it
// went away, or sent less than it announced.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return malformed("the body ended early or arrived too slowly").because(err)
}

// decodeJSON wants one JSON object as strictjson.Decode takes it.
func decodeJSON(body []byte, out any) error {
	if err := strictjson.Decode(body, out); err != nil {
		return malformed("%s", jsonReason(err)).because(err)
	}
	return nil
}

// jsonReason says what is wrong without the names of Go types.
func jsonReason(err error) string {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return "field " + strconv.Quote(cut(mistyped.Field, 100)) + " cannot be a " + cut(mistyped.Value, 40)
	}
	if refused, ok := as[*strictjson.Error](err); ok {
		return "the body: " + refused.Error()
	}
	return "the body is not valid JSON, or a value does not fit its field"
}

// cut shortens text that a client chose.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// query is a request's parameters, each of which is known and occurs once.
type query struct {
	values url.Values
	err    error // the first
}

// queryOf reads the parameters. Those in many may occur several times.
func queryOf(r *request, once []string, many ...string) *query {
	return parseQuery(r.URL.RawQuery, once, many...)
}

func parseQuery(text string, once []string, many ...string) *query {
	values, err := url.ParseQuery(text)
	if err != nil {
		return &query{err: malformed("the query is malformed")}
	}
	for name, all := range values {
		switch {
		case slices.Contains(many, name):
		case !slices.Contains(once, name):
			return &query{err: malformed("unknown parameter %.60q", name)}
		case len(all) > 1:
			return &query{err: malformed("parameter %s is given twice", name)}
		}
	}
	return &query{values: values}
}

// get returns a parameter, empty when it was not given.
func (q *query) get(name string) string { return q.values.Get(name) }

// set notes the first error.
func (q *query) set(err error) {
	if q.err == nil {
		q.err = err
	}
}

// number returns a parameter between bounds, or none when it was not given.
func (q *query) number(name string, most int64) int64 {
	text := q.get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		q.set(malformed("parameter %s: want a number from 1 to %d", name, most))
	}
	return n
}

// flag returns nil when the parameter was not given.
func (q *query) flag(name string) *bool {
	switch text := q.get(name); text {
	case "":
		return nil
	case "true", "false":
		value := text == "true"
		return &value
	}
	q.set(malformed("parameter %s: want true or false", name))
	return nil
}

// oneOf returns a parameter that is one of the choices, or empty.
func (q *query) oneOf(name string, choices ...string) string {
	text := q.get(name)
	if text != "" && !slices.Contains(choices, text) {
		q.set(malformed("parameter %s: want %s", name, strings.Join(choices, " or ")))
	}
	return text
}

// time returns a time as RFC 3339 writes it, zero when it was not given.
func (q *query) time(name string) time.Time {
	text := q.get(name)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.set(malformed("parameter %s: want a time such as 2026-01-02T15:04:05Z", name))
	}
	return t
}

// uuid returns an ID, zero when it was not given.
func (q *query) uuid(name string) wire.UUID {
	text := q.get(name)
	if text == "" {
		return wire.UUID{}
	}
	id, err := wire.ParseUUID(text)
	if err != nil {
		q.set(malformed("parameter %s: want a UUID", name))
	}
	return id
}

// boundaryOf returns the boundary of a multipart body (RFC 2046, section 5.1.1).
func boundaryOf(contentType string) (string, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" || len(params["boundary"]) > 70 {
		return "", fail(wire.CodeUnsupportedType, "the content type must name a boundary of 1 to 70 characters")
	}
	return params["boundary"], nil
}
