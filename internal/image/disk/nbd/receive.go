package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Replies: big endian, doc/proto.md "Reply types".
const (
	magicSimple     = 0x67446698
	magicStructured = 0x668e33ef

	chunkDone = 1 << 0 // flag: the request's last chunk

	chunkNone   = 0
	chunkData   = 1
	chunkHole   = 2
	chunkStatus = 5
	chunkError  = 1 << 15 // and all above

	maxStatus  = 4 + 8*(maxExtents+1) // bytes of one chunk of extents
	maxMessage = 4096                 // bytes of an error's chunk
)

// receive hands answers to the calls until the connection ends, then fails
// those that are left.
func (c *Conn) receive() {
	defer close(c.ended)
	err := c.answers(bufio.NewReaderSize(c.conn, 64<<10))
	c.conn.Close()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // not to be taken for the end of the disk
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = fmt.Errorf("NBD connection: %w", err)
	for handle, r := range c.calls {
		delete(c.calls, handle)
		r.err = c.failed
		close(r.done)
	}
}

func (c *Conn) answers(r io.Reader) error {
	for {
		var head [20]byte
		if _, err := io.ReadFull(r, head[:16]); err != nil {
			return err
		}
		switch magic := binary.BigEndian.Uint32(head[:]); {
		case magic == magicSimple:
			if err := c.simple(r, head[4:16]); err != nil {
				return err
			}
		case magic == magicStructured && c.export.structured:
			if _, err := io.ReadFull(r, head[16:]); err != nil {
				return err
			}
			if err := c.structured(r, head[4:]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: a reply starts with 0x%08x", ErrProtocol, magic)
		}
	}
}

// waiting returns the call that a reply is for.
func (c *Conn) waiting(handle uint64) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.calls[handle]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: reply to a request that was never made", ErrProtocol)
}

func (c *Conn) finish(handle uint64, r *call) {
	c.mu.Lock()
	delete(c.calls, handle)
	c.mu.Unlock()
	if r.err == nil && r.missing > 0 {
		r.err = fmt.Errorf("%w: %d bytes did not come", ErrProtocol, r.missing)
	}
	if r.err == nil && r.command == commandStatus && len(r.extents) == 0 {
		r.err = fmt.Errorf("%w: no extents came", ErrProtocol)
	}
	close(r.done)
}

// simple takes a reply of error, handle and, for reads, the data.
func (c *Conn) simple(r io.Reader, head []byte) error {
	handle := binary.BigEndian.Uint64(head[4:])
	call, err := c.waiting(handle)
	if err != nil {
		return err
	}
	if code := binary.BigEndian.Uint32(head); code != 0 {
		call.err = &ServerError{Code: code}
	} else if call.command == commandRead {
		if c.export.structured {
			return fmt.Errorf("%w: a simple reply to a read where structured ones are agreed", ErrProtocol)
		}
		if _, err := io.ReadFull(r, call.buf); err != nil {
			return err
		}
		call.missing = 0
	}
	c.finish(handle, call)
	return nil
}

// structured takes one chunk of a reply: flags, type, handle and length, then
// the payload.
func (c *Conn) structured(r io.Reader, head []byte) error {
	flags, kind := binary.BigEndian.Uint16(head), binary.BigEndian.Uint16(head[2:])
	handle, length := binary.BigEndian.Uint64(head[4:]), binary.BigEndian.Uint32(head[12:])
	call, err := c.waiting(handle)
	if err != nil {
		return err
	}
	switch {
	case kind == chunkNone && length == 0 && flags&chunkDone != 0:
	case kind == chunkData && length > 8:
		err = call.takeData(r, int64(length)-8)
	case kind == chunkHole && length == 12:
		err = call.takeHole(r)
	case kind == chunkStatus && call.command == commandStatus && length >= 12 && length%8 == 4 && length <= maxStatus:
		err = call.takeStatus(r, int(length), c.export.contextID)
	case kind&chunkError != 0 && length >= 6 && length <= maxMessage:
		err = call.takeError(r, int(length))
	default:
		err = fmt.Errorf("%w: chunk of type %d with %d bytes", ErrProtocol, kind, length)
	}
	if err != nil {
		return err
	}
	if flags&chunkDone != 0 {
		c.finish(handle, call)
	}
	return nil
}
