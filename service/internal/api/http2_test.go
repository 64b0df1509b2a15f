package api_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// TestHTTP2 goes through what sets deadlines, which mean something else for a
// stream than for a connection.
func TestHTTP2(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Body = time.Second })
	w.useHTTP2()
	w.unlocker.grant = grant()
	w.unlocker.doing = func() { time.Sleep(3 * time.Second / 2) }
	w.send("POST", "/v1/attestation/unlock", "", unlockRequest()).want(200)
	r := w.registered("a")
	w.checkBundle(w.get(releasePath(r)+"/bundle", wire.RoleRegister).want(200).body, r)
	w.get("/v1/audit?order=oldest&wait=1", wire.RoleRead).want(200)
	body, contentType := w.newUpload("b").encode(t)
	pieces := io.MultiReader(bytes.NewReader(body[:1000]), pause(time.Second), bytes.NewReader(body[1000:4000]), pause(time.Second), bytes.NewReader(body[4000:]))
	if status := w.stream(pieces, contentType); status != 201 {
		t.Errorf("a slow upload: status %d", status)
	}
}

// TestSlowHTTP2 sends an upload more slowly than is taken.
func TestSlowHTTP2(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Pace.Stall = 100 * time.Millisecond })
	w.useHTTP2()
	body, contentType := w.newUpload("a").encode(t)
	if status := w.stream(io.MultiReader(bytes.NewReader(body[:1000]), pause(2*time.Second), bytes.NewReader(body[1000:])), contentType); status != 400 {
		t.Errorf("status %d", status)
	}
	w.nothingLeft("after a slow upload")
}

// useHTTP2 starts the server again.
func (w *world) useHTTP2() {
	w.t.Helper()
	w.server.Close()
	w.server = newServer(w.t, w.api, true)
}

// stream registers an image from a body of unknown length.
func (w *world) stream(body io.Reader, contentType string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.server.URL+"/v1/images", body)
	must(w.t, err)
	r.Header.Set("Authorization", "Bearer "+w.tokens[wire.RoleRegister])
	r.Header.Set("Content-Type", contentType)
	response, err := w.server.Client().Do(r)
	must(w.t, err)
	defer response.Body.Close()
	if response.ProtoMajor != 2 {
		w.t.Errorf("protocol %s", response.Proto)
	}
	return response.StatusCode
}

// pause is an empty piece of a body that takes its time.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	time.Sleep(time.Duration(p))
	return 0, io.EOF
}
