// Package nbd is a client of the Network Block Device protocol on a Unix
// socket, as far as reading a disk image through qemu-nbd needs it: the fixed
// newstyle negotiation, structured replies, any number of requests in flight,
// and the metadata context base:allocation. The numbers are those of the NBD
// project's doc/proto.md.
//
// The server reads hostile images and may be in an attacker's hands: lengths
// are bounded by what was asked for, and an answer that nobody waits for ends
// the connection. What an image's bytes are is the server's word.
package nbd

import (
	"errors"
	"fmt"
)

// ErrProtocol is a server that does not keep to the protocol, or offers less
// than is needed.
var ErrProtocol = errors.New("NBD protocol")

// ServerError is a request that the server refused, or could not do.
type ServerError struct {
	Code    uint32 // 5 EIO, 22 EINVAL and so on, by Linux's numbers
	Message string // the server's words; may be empty
}

// Error returns code and message in one line.
func (e *ServerError) Error() string {
	return fmt.Sprintf("NBD server: error %d %q", e.Code, e.Message)
}
