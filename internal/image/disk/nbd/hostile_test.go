package nbd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func u16(v uint16) string { return string(binary.BigEndian.AppendUint16(nil, v)) }
func u32(v uint32) string { return string(binary.BigEndian.AppendUint32(nil, v)) }
func u64(v uint64) string { return string(binary.BigEndian.AppendUint64(nil, v)) }

func reply(option, kind uint32, payload string) string {
	return u64(magicReply) + u32(option) + u32(kind) + u32(uint32(len(payload))) + payload
}

func chunk(flags, kind uint16, handle uint64, payload string) string {
	return u32(magicStructured) + u16(flags) + u16(kind) + u64(handle) + u32(uint32(len(payload))) + payload
}

// Parts of a good server's words; the export has 2 MiB.
func greeting() string { return u64(magicServer) + u64(magicOption) + u16(flagFixed|flagNoZeroes) }
func agreed() string   { return reply(optionStructured, replyAck, "") }
func context9() string {
	return reply(optionSetContext, replyContext, u32(9)+allocation) + reply(optionSetContext, replyAck, "")
}

func entered() string {
	return reply(optionGo, replyInfo, u16(infoExport)+u64(2<<20)+u16(1)) + reply(optionGo, replyAck, "")
}

// stream is a server that has said everything beforehand.
type stream struct {
	io.Reader
	io.Writer
}

func TestNegotiation(t *testing.T) {
	for words, want := range map[string]*export{
		greeting() + agreed() + context9() + entered():                                  {size: 2 << 20, flags: 1, structured: true, contexts: true, contextID: 9},
		greeting() + agreed() + reply(optionSetContext, replyError|1, "no") + entered(): {size: 2 << 20, flags: 1, structured: true},
		greeting() + reply(optionStructured, replyError|1, "") + entered():              {size: 2 << 20, flags: 1},
	} {
		got, err := negotiate(stream{strings.NewReader(words), io.Discard}, "disk")
		if err != nil || *got != *want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for name, words := range map[string]string{
		"no fixed newstyle greeting":  u64(magicServer) + u64(magicOption) + u16(0),
		"no fixed newstyle":           u64(magicServer) + u64(magicServer) + u16(flagFixed),
		"malformed reply to option 8": greeting() + reply(optionGo, replyAck, ""),
		"malformed reply to option":   greeting() + u64(magicReply) + u32(optionStructured) + u32(replyAck) + u32(1<<31),
		"reply 4 to option 8":         greeting() + reply(optionStructured, replyContext, "") + entered(),
		"endless replies":             greeting() + agreed() + strings.Repeat(reply(optionSetContext, replyContext, u32(9)+allocation), 16) + entered(),
		"reply 4 to a metadata":       greeting() + agreed() + reply(optionSetContext, replyContext, u32(9)+"other") + entered(),
		"reply 4 to the choice":       greeting() + agreed() + context9() + reply(optionGo, replyContext, "ab"),
		"malformed size":              greeting() + agreed() + context9() + reply(optionGo, replyInfo, u16(infoExport)+u64(1<<63)+u16(1)),
		"malformed size of":           greeting() + agreed() + context9() + reply(optionGo, replyInfo, u16(infoExport)),
		`no export "disk"`:            greeting() + agreed() + context9() + reply(optionGo, replyAck, ""),
		"no export":                   greeting() + agreed() + context9() + reply(optionGo, replyError|6, "unknown"),
	} {
		_, err := negotiate(stream{strings.NewReader(words), io.Discard}, "disk")
		if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := negotiate(stream{strings.NewReader(greeting() + agreed()), io.Discard}, strings.Repeat("x", maxName+1)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a long name: %v", err)
	}
}

// talk returns a connection to a server that answers the first request with
// the words and then goes, or waits if stay is set.
func talk(t *testing.T, structured bool, words string, stay bool) *Conn {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		hello := greeting() + agreed() + context9() + entered()
		if !structured {
			hello = greeting() + reply(optionStructured, replyError|1, "") + entered()
		}
		_, _ = io.WriteString(conn, hello)
		// The first request starts where the options end.
		read, b := []byte{}, make([]byte, 1)
		for !bytes.Contains(read, []byte(u32(magicRequest))) {
			if _, err := conn.Read(b); err != nil {
				return
			}
			read = append(read, b[0])
		}
		_, _ = io.ReadFull(conn, make([]byte, 24))
		_, _ = io.WriteString(conn, words)
		if stay {
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	c, err := Dial(t.Context(), socket, "disk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestHostileAnswersToReads(t *testing.T) {
	data := strings.Repeat("d", 512)
	for name, words := range map[string]string{
		"starts with 0x00000001":              u32(1) + strings.Repeat("\x00", 16),
		"was never made":                      chunk(chunkDone, chunkData, 2, u64(1024)+data),
		"that was never made":                 u32(magicSimple) + u32(0) + u64(0) + data,
		"simple reply to a read":              u32(magicSimple) + u32(0) + u64(1) + data,
		"513 bytes at 1024 where 512":         chunk(chunkDone, chunkData, 1, u64(1024)+data+"d"),
		"512 bytes at 1023 where 512":         chunk(chunkDone, chunkData, 1, u64(1023)+data),
		"512 bytes at 1025 where 512":         chunk(chunkDone, chunkData, 1, u64(1025)+data),
		"512 bytes at 18446744073709551615 ":  chunk(chunkDone, chunkData, 1, u64(1<<64-1)+data),
		"1 bytes at 1024 where 512":           chunk(0, chunkData, 1, u64(1024)+data) + chunk(0, chunkData, 1, u64(1024)+"d"),
		"4294967295 bytes at 1024 where 512":  chunk(0, chunkHole, 1, u64(1024)+u32(1<<32-1)),
		"0 bytes at 1024 where 512":           chunk(0, chunkHole, 1, u64(1024)+u32(0)),
		"chunk of type 1 with 8 bytes":        chunk(0, chunkData, 1, u64(1024)),
		"chunk of type 2 with 8 bytes":        chunk(0, chunkHole, 1, u64(1024)),
		"chunk of type 5 with 12 bytes":       chunk(chunkDone, chunkStatus, 1, u32(9)+u32(512)+u32(0)),
		"chunk of type 0 with 0 bytes":        chunk(0, chunkNone, 1, ""),
		"chunk of type 32769 with 4097 bytes": chunk(0, chunkError+1, 1, strings.Repeat("x", 4097)),
		"malformed error":                     chunk(0, chunkError+1, 1, u32(0)+u16(0)),
		"malformed err":                       chunk(0, chunkError+1, 1, u32(5)+u16(1)),
		"256 bytes did not come":              chunk(0, chunkData, 1, u64(1024)+data[:256]) + chunk(chunkDone, chunkNone, 1, ""),
	} {
		c := talk(t, true, words, true)
		if n, err := c.ReadAt(make([]byte, 512), 1024); n != 0 || !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersToReads(t *testing.T) {
	p := bytes.Repeat([]byte{1}, 512)
	c := talk(t, true, chunk(0, chunkHole, 1, u64(1280)+u32(256))+chunk(chunkDone, chunkData, 1, u64(1024)+strings.Repeat("d", 256)), true)
	if n, err := c.ReadAt(p, 1024); n != 512 || err != nil || string(p) != strings.Repeat("d", 256)+strings.Repeat("\x00", 256) {
		t.Errorf("%d %v %q", n, err, p)
	}
	c = talk(t, false, u32(magicSimple)+u32(0)+u64(1)+strings.Repeat("e", 512), true)
	if n, err := c.ReadAt(p, 1024); n != 512 || err != nil || string(p) != strings.Repeat("e", 512) {
		t.Errorf("%d %v %q", n, err, p)
	}
	if extents, err := c.Extents(512, 1024); err != nil || len(extents) != 1 || extents[0] != (Extent{512, 1024, false}) {
		t.Errorf("%v, %v", extents, err)
	}
	refused := &ServerError{}
	c = talk(t, true, chunk(0, chunkError+2, 1, u32(5)+u16(3)+"bad"+u64(1024))+chunk(chunkDone, chunkError+1, 1, u32(6)+u16(0)), true)
	if _, err := c.ReadAt(p, 1024); !errors.As(err, &refused) || *refused != (ServerError{5, "bad"}) {
		t.Errorf("got %v", err)
	}
	c = talk(t, true, u32(magicSimple)+u32(22)+u64(1), true)
	if _, err := c.ReadAt(p, 1024); !errors.As(err, &refused) || *refused != (ServerError{22, ""}) {
		t.Errorf("got %v", err)
	}
	c = talk(t, true, chunk(0, chunkData, 1, u64(1024)+"dd")[:25], false)
	if _, err := c.ReadAt(p, 1024); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("a server that goes: %v", err)
	}
}

func TestAnswersToStatus(t *testing.T) {
	c := talk(t, true, chunk(chunkDone, chunkStatus, 1, u32(9)+u32(512)+u32(3)+u32(512)+u32(2)+u32(1<<32-1)+u32(1)+u32(512)+u32(2)), true)
	extents, err := c.Extents(512, 2048)
	if err != nil || len(extents) != 2 || extents[0] != (Extent{512, 1024, true}) || extents[1] != (Extent{1536, 1024, false}) {
		t.Errorf("%v, %v", extents, err)
	}
	one := u32(9) + u32(512) + u32(3)
	for name, words := range map[string]string{
		"another context":      chunk(chunkDone, chunkStatus, 1, u32(8)+u32(512)+u32(3)),
		"or twice":             chunk(0, chunkStatus, 1, one) + chunk(chunkDone, chunkStatus, 1, one),
		"an extent of 0 bytes": chunk(chunkDone, chunkStatus, 1, u32(9)+u32(0)+u32(3)),
		"no extents came":      chunk(chunkDone, chunkNone, 1, ""),
		"type 5 with 4 bytes":  chunk(chunkDone, chunkStatus, 1, u32(9)),
		"type 5 with 8388628":  u32(magicStructured) + u16(0) + u16(chunkStatus) + u64(1) + u32(maxStatus+8),
		"type 5 with 13 bytes": chunk(chunkDone, chunkStatus, 1, one+"x"),
		"bytes at 512 where":   chunk(chunkDone, chunkData, 1, u64(512)+"x"),
	} {
		c := talk(t, true, words, true)
		if _, err := c.Extents(512, 2048); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExtentsAreBounded(t *testing.T) {
	pairs := strings.Repeat(u32(1)+u32(2)+u32(1)+u32(0), maxExtents/2)
	for n, answer := range map[int64]string{maxExtents: pairs, maxExtents + 1: pairs + u32(1) + u32(2)} {
		c := talk(t, true, chunk(chunkDone, chunkStatus, 1, u32(9)+answer), true)
		if _, err := c.Extents(0, n); errors.Is(err, ErrProtocol) != (n > maxExtents) {
			t.Errorf("%d extents: %v", n, err)
		}
	}
}

func TestDialingEndsWithItsContext(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			cancel() // and never a word
			defer conn.Close()
			<-t.Context().Done()
		}
	}()
	if _, err := Dial(ctx, socket, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// FuzzServer takes the server's words for the negotiation and for the answers
// to a read and to a question for extents.
func FuzzServer(f *testing.F) {
	hello := greeting() + agreed() + context9() + entered()
	f.Add([]byte(hello + chunk(0, chunkHole, 1, u64(256)+u32(256)) + chunk(chunkDone, chunkData, 1, u64(0)+strings.Repeat("d", 256))))
	f.Add([]byte(hello + chunk(chunkDone, chunkStatus, 2, u32(9)+u32(512)+u32(3)) + chunk(chunkDone, chunkError+1, 1, u32(5)+u16(0))))
	f.Add([]byte(greeting() + reply(optionStructured, replyError|1, "") + entered() + u32(magicSimple) + u32(0) + u64(1) + strings.Repeat("e", 512)))
	f.Fuzz(func(t *testing.T, words []byte) {
		src := bytes.NewReader(words)
		export, err := negotiate(stream{src, io.Discard}, "disk")
		if err != nil {
			return
		}
		read := &call{command: commandRead, buf: make([]byte, 512), missing: 512, done: make(chan struct{})}
		status := &call{command: commandStatus, done: make(chan struct{})}
		c := &Conn{export: export, calls: map[uint64]*call{1: read, 2: status}}
		if err := c.answers(src); err == nil {
			t.Fatal("the words never end")
		}
		if read.missing < 0 {
			t.Fatalf("%d bytes are missing", read.missing)
		}
	})
}
