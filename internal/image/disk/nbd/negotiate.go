package nbd

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Negotiation: big endian, doc/proto.md "Fixed newstyle negotiation".
const (
	magicServer  = 0x4e42444d41474943 // NBDMAGIC
	magicOption  = 0x49484156454f5054 // IHAVEOPT
	magicReply   = 0x0003e889045565a9
	flagFixed    = 1 << 0
	flagNoZeroes = 1 << 1

	optionGo         = 7
	optionStructured = 8
	optionSetContext = 10

	replyAck     = 1
	replyInfo    = 3
	replyContext = 4
	replyError   = 1 << 31

	infoExport = 0

	maxReply = 64 << 10 // bytes of one reply
	maxName  = 4096     // bytes of an export's name
)

const allocation = "base:allocation"

// export is what the negotiation agreed upon.
type export struct {
	size       int64
	flags      uint16 // transmission flags: what the server can do
	structured bool
	contexts   bool   // base:allocation can be asked for
	contextID  uint32 // its number in replies
}

// negotiate leaves the connection in the transmission phase.
func negotiate(rw io.ReadWriter, name string) (*export, error) {
	var hello [18]byte
	if _, err := io.ReadFull(rw, hello[:]); err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	flags := binary.BigEndian.Uint16(hello[16:])
	if binary.BigEndian.Uint64(hello[:]) != magicServer || binary.BigEndian.Uint64(hello[8:]) != magicOption || flags&flagFixed == 0 {
		return nil, fmt.Errorf("%w: no fixed newstyle greeting", ErrProtocol)
	}
	if _, err := rw.Write(binary.BigEndian.AppendUint32(nil, uint32(flags&(flagFixed|flagNoZeroes)))); err != nil {
		return nil, fmt.Errorf("send flags: %w", err)
	}
	if len(name) > maxName {
		return nil, fmt.Errorf("%w: export name of %d bytes", ErrProtocol, len(name))
	}
	e := &export{}
	var err error
	if e.structured, err = option(rw, optionStructured, nil, nil); err != nil {
		return nil, err
	}
	if e.structured {
		if err := e.askContext(rw, name); err != nil {
			return nil, err
		}
	}
	return e, e.enter(rw, name)
}

// askContext asks for base:allocation; a server may have none.
func (e *export) askContext(rw io.ReadWriter, name string) error {
	query := appendString(nil, name)
	query = binary.BigEndian.AppendUint32(query, 1)
	query = appendString(query, allocation)
	_, err := option(rw, optionSetContext, query, func(kind uint32, b []byte) error {
		if kind != replyContext || len(b) < 4 || string(b[4:]) != allocation {
			return fmt.Errorf("%w: reply %d to a metadata context", ErrProtocol, kind)
		}
		e.contexts, e.contextID = true, binary.BigEndian.Uint32(b)
		return nil
	})
	return err
}

// enter chooses the export and learns its size.
func (e *export) enter(rw io.ReadWriter, name string) error {
	e.size = -1
	ok, err := option(rw, optionGo, append(appendString(nil, name), 0, 0), func(kind uint32, b []byte) error {
		if kind != replyInfo || len(b) < 2 {
			return fmt.Errorf("%w: reply %d to the choice of an export", ErrProtocol, kind)
		}
		if binary.BigEndian.Uint16(b) != infoExport {
			return nil
		}
		if len(b) != 12 || int64(binary.BigEndian.Uint64(b[2:])) < 0 {
			return fmt.Errorf("%w: malformed size of the export", ErrProtocol)
		}
		e.size, e.flags = int64(binary.BigEndian.Uint64(b[2:])), binary.BigEndian.Uint16(b[10:])
		return nil
	})
	if err != nil {
		return err
	}
	if !ok || e.size < 0 {
		return fmt.Errorf("%w: the server has no export %q", ErrProtocol, name)
	}
	return nil
}

// option sends an option and hands every reply before the last to each. It
// says whether the server agreed.
func option(rw io.ReadWriter, number uint32, data []byte, each func(kind uint32, b []byte) error) (bool, error) {
	b := binary.BigEndian.AppendUint64(nil, magicOption)
	b = binary.BigEndian.AppendUint32(b, number)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	if _, err := rw.Write(append(b, data...)); err != nil {
		return false, fmt.Errorf("send option %d: %w", number, err)
	}
	for range 16 {
		var head [20]byte
		if _, err := io.ReadFull(rw, head[:]); err != nil {
			return false, fmt.Errorf("read reply to option %d: %w", number, err)
		}
		kind, length := binary.BigEndian.Uint32(head[12:]), binary.BigEndian.Uint32(head[16:])
		if binary.BigEndian.Uint64(head[:]) != magicReply || binary.BigEndian.Uint32(head[8:]) != number || length > maxReply {
			return false, fmt.Errorf("%w: malformed reply to option %d", ErrProtocol, number)
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(rw, payload); err != nil {
			return false, fmt.Errorf("read reply to option %d: %w", number, err)
		}
		if kind&replyError != 0 {
			return false, nil
		}
		if kind == replyAck {
			return true, nil
		}
		if each == nil {
			return false, fmt.Errorf("%w: reply %d to option %d", ErrProtocol, kind, number)
		}
		if err := each(kind, payload); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("%w: endless replies to option %d", ErrProtocol, number)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
