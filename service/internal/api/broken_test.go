package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestCutBodies sends registrations that end early but say that they do not.
func TestCutBodies(t *testing.T) {
	w := newWorld(t)
	body, contentType := w.newUpload("a").encode(t)
	end := bytes.LastIndex(body, []byte("--\r\n")) // without these two hyphens it is not whole
	for at := 0; at <= end; at += 1 + at%97 {
		a := w.do(call{method: "POST", path: "/v1/images", token: w.tokens[wire.RoleRegister], contentType: contentType, body: body[:at]})
		if a.status < 400 || a.status >= 500 {
			t.Fatalf("cut at %d: status %d, %s", at, a.status, a.body)
		}
	}
	w.nothingLeft("after all cuts")
}

// dial opens a connection for what http.Client does not do.
func (w *world) dial() net.Conn {
	w.t.Helper()
	roots := w.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	conn, err := dialer.DialContext(w.t.Context(), "tcp", w.server.Listener.Addr().String())
	must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// begin sends the head of a request and the first bytes of its body.
func (w *world) begin(conn net.Conn, path, contentType string, length int, body []byte) {
	w.t.Helper()
	_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, w.tokens[wire.RoleAdmin], contentType, length, body)
	must(w.t, err)
}

// idle waits until nothing is under way.
func (w *world) idle() {
	w.t.Helper()
	for range 3000 {
		if w.files.left() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Error("the service holds files of connections that are gone")
}

// TestAbandonedUploads closes the connection in the middle of a body.
func TestAbandonedUploads(t *testing.T) {
	w := newWorld(t)
	body, contentType := w.newUpload("a").encode(t)
	for at := 0; at < len(body); at += 1 + len(body)/12 {
		conn := w.dial()
		w.begin(conn, "/v1/images", contentType, len(body), body[:at])
		must(t, conn.Close())
	}
	w.idle()
	w.server.Close() // waits for the handlers
	w.nothingLeft("after all hang-ups")
}

// TestSlowUpload lets an upload stand still.
func TestSlowUpload(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Pace.Stall = 100 * time.Millisecond })
	body, contentType := w.newUpload("a").encode(t)
	conn := w.dial()
	w.begin(conn, "/v1/images", contentType, len(body), body[:len(body)/2])
	w.wantMalformed(conn)
	w.idle()
	w.nothingLeft("after a stall")
}

// TestTricklingUpload sends an upload byte by byte: it never stands still, but
// does not keep up the pace either.
func TestTricklingUpload(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Pace = api.Pace{Stall: 200 * time.Millisecond, MinRate: 1 << 20} })
	body, contentType := w.newUpload("a").encode(t)
	conn := w.dial()
	w.begin(conn, "/v1/images", contentType, len(body), nil)
	go func() {
		for i := range body {
			if _, err := conn.Write(body[i : i+1]); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	w.wantMalformed(conn)
	w.idle()
	w.nothingLeft("after trickling")
}

func (w *world) wantMalformed(conn net.Conn) {
	w.t.Helper()
	w.wantProblem(conn, wire.CodeMalformed)
}

// wantProblem reads an answer from a connection.
func (w *world) wantProblem(conn net.Conn, code wire.Code) {
	w.t.Helper()
	must(w.t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(w.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	must(w.t, err)
	answer{w.t, response.StatusCode, response.Header, data}.problem(code)
}

// TestSlowClient sends the first half of a small body and then nothing.
func TestSlowClient(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Body = 100 * time.Millisecond })
	conn := w.dial()
	w.begin(conn, "/v1/tokens", "application/json", 100, []byte(`{"name":`))
	w.wantMalformed(conn)
	unlock := w.dial()
	w.begin(unlock, "/v1/attestation/unlock", "application/json", 100, []byte(`{"report":`))
	w.wantMalformed(unlock)
}

// TestSlowClientWhereNoBodyIsTaken announces bodies that nobody wants and sends
// none: net/http would wait for them before it answers.
func TestSlowClientWhereNoBodyIsTaken(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Body = 100 * time.Millisecond })
	for request, status := range map[string]int{
		"GET /v1/public/info":         400,
		"GET /v1/nothing":             404,
		"PUT /v1/public/info":         405,
		"GET /v1/kds/export":          400,
		"POST /v1/images":             415,
		"POST /v1/images (multipart)": 401,
	} {
		conn := w.dial()
		line, multipart := strings.CutSuffix(request, " (multipart)")
		text := line + " HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\n"
		if multipart {
			text += "Content-Type: multipart/form-data; boundary=a\r\n"
		}
		_, err := fmt.Fprint(conn, text+"\r\n")
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", request, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s: status %d", request, response.StatusCode)
		}
	}
}

// TestWaitingOutlivesBody waits for longer than a body may take, on a connection
// that has just sent one.
func TestWaitingOutlivesBody(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Body = time.Second })
	w.unlocker.doing = func() { time.Sleep(3 * time.Second / 2) }
	w.unlocker.grant = grant()
	w.send("POST", "/v1/attestation/unlock", "", unlockRequest()).want(200)
}

// TestSlowImport lets the import of an archive stand still.
func TestSlowImport(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Pace.Stall = 100 * time.Millisecond })
	archive := w.get("/v1/kds/export", wire.RoleRead).want(200).body
	conn := w.dial()
	w.begin(conn, "/v1/kds/import", "application/gzip", len(archive), archive[:len(archive)/2])
	w.wantMalformed(conn)
}

// TestClientThatDoesNotRead takes the beginning of a file and then nothing.
func TestClientThatDoesNotRead(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		c.Limits.Pace.Stall, c.Accounts.Gate.Limits[access.Exports] = time.Second, access.Places{All: 1, Each: 1}
	})
	u := w.newUpload("a").set("initrd", make([]byte, 24<<20))
	r := into[wire.Registered](w.register(u, "/v1/images").want(201))
	for i, path := range []string{"/bundle?format=tar", "/artifacts/initrd.img"} {
		conn := w.dial()
		_, err := fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer %s\r\n\r\n",
			releasePath(r), path, w.tokens[wire.RoleRegister])
		must(t, err)
		_, err = io.ReadFull(conn, make([]byte, 1000))
		must(t, err)
		if i == 0 {
			w.get(releasePath(r)+path, wire.RoleRegister).problem(wire.CodeUnavailable)
		}
		for n := 0; strings.Count(w.log.String(), `"aborted":true`) <= i; n++ {
			if n == 3000 {
				t.Fatalf("%s: a client that does not read holds its place", path)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// brokenKDS fails in the middle of an archive.
type brokenKDS struct{ oversight.KDS }

func (brokenKDS) Export(_ context.Context, w io.Writer) ([]kds.Key, []kds.Inspected, error) {
	_, _ = w.Write(make([]byte, 100_000))
	panic("secret place")
}

// TestPanicInAnswer fails when the answer has begun: it must not look whole.
func TestPanicInAnswer(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Desk.KDS = brokenKDS{} })
	if a := w.try(call{method: "GET", path: "/v1/kds/export", token: w.tokens[wire.RoleRead]}); a != nil {
		t.Errorf("status %d, %d bytes", a.status, len(a.body))
	}
	if !strings.Contains(w.log.String(), "secret place") {
		t.Error("the log does not know of it")
	}
}

// failingStore is a database that fails when a registration is written.
type failingStore struct {
	*store.Store
	err error
}

func (s *failingStore) Audited(ctx context.Context, do func(ctx context.Context) (audit.Record, error)) (audit.Entry, error) {
	return s.Store.Audited(ctx, func(ctx context.Context) (audit.Record, error) {
		record, err := do(ctx)
		return record, errors.Join(err, s.err)
	})
}

// TestFailingDatabase fails in the transaction that writes a registration.
func TestFailingDatabase(t *testing.T) {
	failing := &failingStore{err: errors.New("disk I/O error at /secret/place")}
	w := newWorld(t, func(c *api.Config) {
		failing.Store = c.Store
		c.Registry.Gate.Log = failing
	})
	u := w.newUpload("a")
	a := w.register(u, "/v1/images").want(500)
	if detail := a.problem(wire.CodeInternal); detail != "" || bytes.Contains(a.body, []byte("secret")) {
		t.Errorf("the client is told %s", a.body)
	}
	w.nothingLeft("after a failure of the database")
	failing.err = nil
	w.register(u, "/v1/images").want(201)
}

// slowStore takes its time to write a registration.
type slowStore struct {
	*store.Store
	time.Duration
}

func (s *slowStore) Audited(ctx context.Context, do func(ctx context.Context) (audit.Record, error)) (audit.Entry, error) {
	time.Sleep(s.Duration)
	if err := ctx.Err(); err != nil {
		return audit.Entry{}, err
	}
	return s.Store.Audited(ctx, do)
}

// TestStoringOutlivesPace stores a registration for longer than its body might
// have stood still.
func TestStoringOutlivesPace(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		c.Limits.Pace.Stall = time.Second
		c.Registry.Store = &slowStore{c.Store, 3 * time.Second / 2}
	})
	w.registered("a")
}

// TestTooManyUploads starts as many as the service takes, and one more.
func TestTooManyUploads(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Accounts.Gate.Limits[access.Uploads] = access.Places{All: 5, Each: 5} })
	body, contentType := w.newUpload("a").encode(t)
	for range 4 {
		w.begin(w.dial(), "/v1/images", contentType, len(body), body[:len(body)*9/10]) // the firmware, and more
	}
	for range 3000 {
		if w.files.left() >= 4 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	a := w.register(w.newUpload("b"), "/v1/images").want(503)
	if a.problem(wire.CodeUnavailable); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestRegisterOnPostgres registers, exports and deletes on PostgreSQL, with the
// artifacts in the database too.
func TestRegisterOnPostgres(t *testing.T) {
	w := newWorldOn(t, storetest.Postgres(t, &cluster), func(c *api.Config) {
		c.Registry.Artifacts = artifact.OpenDatabase(c.Store, c.Now)
	})
	r := w.registered("a")
	w.checkMeasurements(r)
	w.checkBundle(w.get(releasePath(r)+"/bundle", wire.RoleRegister).want(200).body, r)
	w.send("DELETE", "/v1/images/"+r.Image.ID.String(), wire.RoleAdmin, nil).want(204)
	err := artifact.OpenDatabase(w.store, w.clock.Now).Walk(t.Context(), func(i artifact.Info) error {
		return fmt.Errorf("artifact %x is left", i.SHA256)
	})
	must(t, err)
}
