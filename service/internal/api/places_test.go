package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// TestSlowUploadsOfOneToken begins as many uploads with one token as it may, and
// lets them stand still. It has no further one; everybody else uploads on.
func TestSlowUploadsOfOneToken(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Pace.Stall = time.Hour })
	body, contentType := w.newUpload("slow").encode(t)
	for i := range access.DefaultLimits()[access.Uploads].Each {
		conn := w.dial()
		_, err := fmt.Fprintf(conn, "POST /v1/images HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			w.tokens[wire.RoleRegister], contentType, len(body), body[:len(body)/2])
		must(t, err)
		w.awaitUploads(i + 1)
	}
	w.register(w.newUpload("a"), "/v1/images").problem(wire.CodeUnavailable)
	w.register(w.newUpload("a"), "/v1/images/"+wire.NewUUID().String()+"/releases").problem(wire.CodeUnavailable)
	other := w.newUpload("b")
	data, contentType := other.encode(t)
	w.do(call{method: "POST", path: "/v1/images", token: w.tokens[wire.RoleAdmin], contentType: contentType, body: data}).want(201)
}

func (w *world) awaitUploads(n int) {
	w.t.Helper()
	for range 3000 {
		if w.api.UploadsUnderWay() == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("%d uploads are under way, want %d", w.api.UploadsUnderWay(), n)
}

// TestParallelVerifications asks for verifications, each of which reads the whole
// log, while one of the same token is under way, and while as many as there may be.
func TestParallelVerifications(t *testing.T) {
	w := newWorld(t)
	reader := access.Principal{ID: "reader", Role: wire.RoleRead}
	leave := w.api.Verifying(t, reader)
	if w.api.MayVerify(t, reader) {
		t.Error("one token has two verifications at a time")
	}
	verify := call{method: "POST", path: "/v1/audit/verify", token: w.tokens[wire.RoleRead]}
	w.do(verify).want(200)
	another := w.api.Verifying(t, access.Principal{ID: "another", Role: wire.RoleRead})
	w.do(verify).problem(wire.CodeUnavailable)
	w.get("/v1/audit/export", wire.RoleRead).want(200) // has places of its own
	another()
	w.do(verify).want(200)
	leave()
	if !w.api.MayVerify(t, reader) {
		t.Error("a place is still taken")
	}
}

// TestFollowersOfOneToken waits for records as often as one token may, and once
// more.
func TestFollowersOfOneToken(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Accounts.Gate.Limits[access.Followers] = access.Places{All: 3, Each: 1} })
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		w.get("/v1/audit?order=oldest&wait=3", wire.RoleRead).want(200)
	}()
	for w.api.Following() == 0 {
		time.Sleep(time.Millisecond)
	}
	w.get("/v1/audit?order=oldest&wait=1", wire.RoleRead).problem(wire.CodeUnavailable)
	w.get("/v1/audit?order=oldest&wait=1", wire.RoleAdmin).want(200)
	<-waiting
}
