package update

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// ticketLifetime is how long after its call a guest may begin to fetch the bundle.
const ticketLifetime = 10 * time.Minute

// Layout of a ticket: image, release, when it expires in microseconds since 1970 UTC,
// big-endian; HMAC-SHA-256 of all that.
const (
	ticketRelease = 16
	ticketExpires = 32
	ticketMAC     = wire.TicketSize - sha256.Size
)

// reasonTicket is of what the service does not send. It is in the log alone.
const reasonTicket audit.Reason = "ticket"

// newTicket lets a guest fetch one bundle. It opens nothing but that, which is signed
// and no secret: a ticket is there so that the service is no file server for anyone.
func (s *Service) newTicket(image, release wire.UUID) []byte {
	t := append(append(make([]byte, 0, wire.TicketSize), image[:]...), release[:]...)
	t = binary.BigEndian.AppendUint64(t, uint64(s.Now().Add(ticketLifetime).UnixMicro()))
	return append(t, s.mac(t)...)
}

// openTicket returns what a ticket is for. The error is a *unlock.Denial.
func (s *Service) openTicket(t []byte) (image, release wire.UUID, err error) {
	denial := &unlock.Denial{Reason: reasonTicket, Rule: "ticket", Expected: "a ticket of this service", Found: "another"}
	if len(t) != wire.TicketSize || !hmac.Equal(t[ticketMAC:], s.mac(t[:ticketMAC])) {
		return image, release, denial
	}
	if s.Now().After(time.UnixMicro(int64(binary.BigEndian.Uint64(t[ticketExpires:])))) {
		denial.Found = "an expired one"
		return image, release, denial
	}
	return wire.UUID(t[:ticketRelease]), wire.UUID(t[ticketRelease:ticketExpires]), nil
}

func (s *Service) mac(t []byte) []byte {
	h := hmac.New(sha256.New, s.Key)
	h.Write([]byte("snpguard/v1/ticket\x00"))
	h.Write(t)
	return h.Sum(nil)
}
