package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// request is a request on its way to its handler.
type request struct {
	*http.Request
	params  httprouter.Params
	actor   access.Actor // who sends it
	control *http.ResponseController
}

// exchange is what is known of a request from its first moment to the log.
type exchange struct {
	id     string // of the request
	route  string // pattern of the path
	actor  string // who sent it
	unread bool   // there is a body whose end has not come
}

type exchangeKey struct{}

// exchangeOf returns the exchange that outer began.
func exchangeOf(ctx context.Context) *exchange {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return e
	}
	return &exchange{}
}

// RequestID returns the ID of the request that ctx belongs to.
func RequestID(ctx context.Context) string { return exchangeOf(ctx).id }

// Note tells the log and the metrics what they cannot know of a page: the pattern
// of its path and who asked for it.
func Note(ctx context.Context, route, actor string) {
	e := exchangeOf(ctx)
	e.route, e.actor = route, actor
}

// uuid returns an ID in the path. One that is not a UUID names nothing.
func (r *request) uuid(name string) (wire.UUID, error) {
	id, err := wire.ParseUUID(r.params.ByName(name))
	if err != nil {
		return wire.UUID{}, fail(wire.CodeNotFound, "").because(err)
	}
	return id, nil
}

// seenBody is a body that notes when its end has come.
type seenBody struct {
	io.ReadCloser
	exchange *exchange
}

// Read implements io.Reader.
func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.exchange.unread = false
	}
	return n, err
}

// readBy and writeBy set deadlines of the connection or stream; the zero time is
// none. The one for reading is set while there is a body to read and not later:
// then it would end the request, since the server reads on to see whether the
// client is still there. A connection without deadlines exists in no server, only in tests.
func readBy(c *http.ResponseController, t time.Time) error {
	return supported(c.SetReadDeadline(t))
}

func writeBy(c *http.ResponseController, t time.Time) error {
	return supported(c.SetWriteDeadline(t))
}

func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
