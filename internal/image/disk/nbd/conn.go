package nbd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Transmission: big endian, doc/proto.md "Transmission phase".
const (
	magicRequest = 0x25609513

	commandRead   = 0
	commandWrite  = 1
	commandClose  = 2
	commandFlush  = 3
	commandStatus = 7
)

// maxRequest bounds one request, in bytes; what is larger is split. Servers
// take at least 32 MiB, and two MiB keep one busy.
const maxRequest = 2 << 20

// Conn is a connection to one export. Its methods may be called at the same
// time, and then have their requests in flight together.
type Conn struct {
	conn   net.Conn
	export *export

	sending sync.Mutex // orders whole requests on the wire

	mu     sync.Mutex
	calls  map[uint64]*call
	next   uint64
	failed error
	ended  chan struct{} // closed when the reader has gone
}

// call is a request in flight. Until done is closed it belongs to the reader.
type call struct {
	command uint16
	offset  int64
	buf     []byte // where a read goes
	missing int    // bytes of buf that no chunk has brought yet
	extents []extent
	err     error
	done    chan struct{}
}

// Dial connects to the export of that name on a Unix socket. The context is
// for the connecting and the negotiation; Close ends what follows. The error
// wraps ErrProtocol where the server cannot be used.
func Dial(ctx context.Context, socket, name string) (*Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to NBD server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	export, err := negotiate(conn, name)
	if !stop() {
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("negotiate with NBD server: %w", err)
	}
	c := &Conn{conn: conn, export: export, calls: map[uint64]*call{}, ended: make(chan struct{})}
	go c.receive()
	return c, nil
}

// Size returns the export's size in bytes.
func (c *Conn) Size() int64 { return c.export.size }

// Close ends the connection, if it has not ended yet; requests in flight fail.
func (c *Conn) Close() error {
	c.sending.Lock()
	_, _ = c.conn.Write(request(commandClose, 0, 0, 0))
	c.sending.Unlock()
	err := c.conn.Close()
	<-c.ended
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// ReadAt reads as io.ReaderAt does.
func (c *Conn) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	n, end := 0, len(p)
	if rest := c.export.size - off; int64(end) > rest {
		end = int(max(rest, 0))
	}
	for n < end {
		piece := p[n:min(n+maxRequest, end)]
		if _, err := c.do(commandRead, off+int64(n), piece, uint32(len(piece))); err != nil {
			return n, fmt.Errorf("read %d bytes at %d: %w", len(piece), off+int64(n), err)
		}
		n += len(piece)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes as io.WriterAt does; the export does not grow.
func (c *Conn) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || int64(len(p)) > c.export.size-off {
		return 0, fmt.Errorf("write %d bytes at %d: the export has %d", len(p), off, c.export.size)
	}
	n := 0
	for n < len(p) {
		piece := p[n:min(n+maxRequest, len(p))]
		if _, err := c.do(commandWrite, off+int64(n), piece, uint32(len(piece))); err != nil {
			return n, fmt.Errorf("write %d bytes at %d: %w", len(piece), off+int64(n), err)
		}
		n += len(piece)
	}
	return n, nil
}

// Flush makes what was written durable.
func (c *Conn) Flush() error {
	if _, err := c.do(commandFlush, 0, nil, 0); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// do sends one request and waits for its answer.
func (c *Conn) do(command uint16, offset int64, buf []byte, length uint32) (*call, error) {
	r := &call{command: command, offset: offset, done: make(chan struct{})}
	if command == commandRead {
		r.buf, r.missing = buf, len(buf)
	}
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		return nil, c.failed
	}
	c.next++
	handle := c.next
	c.calls[handle] = r
	c.mu.Unlock()

	c.sending.Lock()
	_, err := c.conn.Write(request(command, handle, offset, length))
	if err == nil && command == commandWrite {
		_, err = c.conn.Write(buf)
	}
	c.sending.Unlock()
	if err != nil {
		// The reader finds out too, and gives the call back.
		c.conn.Close()
	}
	<-r.done
	return r, r.err
}

func request(command uint16, handle uint64, offset int64, length uint32) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 28), magicRequest)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, command)
	b = binary.BigEndian.AppendUint64(b, handle)
	b = binary.BigEndian.AppendUint64(b, uint64(offset))
	return binary.BigEndian.AppendUint32(b, length)
}
