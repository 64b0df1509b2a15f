package nbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// connect returns a connection behind the negotiation and the server's end of it.
func connect(conn net.Conn, e *export) *Conn {
	c := &Conn{conn: conn, export: e, calls: map[uint64]*call{}, ended: make(chan struct{})}
	go c.receive()
	return c
}

// TestWritesInPieces has a server that refuses the third request, which is in the second
// call.
func TestWritesInPieces(t *testing.T) {
	ours, theirs := net.Pipe()
	c := connect(ours, &export{size: 8 << 20, flags: 1})
	var heads []string
	served := make(chan error)
	go func() {
		for {
			head := make([]byte, 28)
			if _, err := io.ReadFull(theirs, head); err != nil || binary.BigEndian.Uint16(head[6:]) != commandWrite {
				served <- err
				return
			}
			data := make([]byte, binary.BigEndian.Uint32(head[24:]))
			_, err := io.ReadFull(theirs, data)
			if err != nil || !bytes.Equal(data, make([]byte, len(data))) {
				served <- errors.Join(err, errors.New("no zeros"))
				return
			}
			heads = append(heads, string(head[16:]))
			_, _ = io.WriteString(theirs, u32(magicSimple)+u32(uint32(28*(len(heads)/3)))+string(head[8:16]))
		}
	}()
	if _, err := c.WriteAt(make([]byte, maxRequest+1024), 512); err != nil {
		t.Error(err)
	}
	refused := &ServerError{}
	if _, err := c.WriteAt(make([]byte, 100), 4096); !errors.As(err, &refused) || refused.Code != 28 || !strings.HasPrefix(err.Error(), "write 100 bytes at 4096: ") {
		t.Errorf("refused: %v", err)
	}
	if err := errors.Join(c.Close(), <-served); err != nil {
		t.Error(err)
	}
	if want := []string{u64(512) + u32(maxRequest), u64(512+maxRequest) + u32(1024), u64(4096) + u32(100)}; !slices.Equal(heads, want) {
		t.Errorf("asked for %q, want %q", heads, want)
	}
}

// deaf is a connection that nothing can be written to and from which nothing comes
// until it is closed.
type deaf struct{ net.Conn }

func (deaf) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestRequestThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := connect(deaf{ours}, &export{size: 8 << 20, flags: 1})
		if _, err := c.ReadAt(make([]byte, 512), 0); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
		if err := errors.Join(c.Close(), theirs.Close()); err != nil {
			t.Error(err)
		}
	})
}
