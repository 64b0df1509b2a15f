package unlock

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// errNotGranted is a call before the unlock.
var errNotGranted = errors.New("no service has granted this boot its key")

// Call makes a call of this boot to the service that granted the key, by the way that it
// came, until it answers, denies it or the context ends. A call whose answer was lost is
// repeated with the same body, which changes nothing at the service. What is returned
// says what the answer is bound to. The error may wrap service.ErrDenied.
func (s *Session) Call(ctx context.Context, l Loop, kind wire.Call, body any, out guestcall.Answer) (guestcall.Call, error) {
	if s.service == nil {
		return guestcall.Call{}, errNotGranted
	}
	encoded, err := guestcall.Encode(body)
	if err != nil {
		return guestcall.Call{}, err
	}
	var made guestcall.Call
	last := ""
	err = l.Backoff.Do(ctx, func() error {
		made, err = s.caller.Do(ctx, s.service, kind, encoded, out)
		if err == nil {
			return nil
		}
		if err = short(err); ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			l.Log("%s: %v", kind.Path(), err)
		}
		if errors.Is(err, service.ErrDenied) {
			return retry.Permanent(err)
		}
		return err
	})
	return made, err
}
