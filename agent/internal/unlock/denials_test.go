package unlock_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestDenialsEnd counts the rounds that end in a denial, whatever other services
// answer.
func TestDenialsEnd(t *testing.T) {
	w := newWorld(t)
	denials, grantAt := 0, 0
	deny := func(rw http.ResponseWriter, r *http.Request) {
		if denials++; denials == grantAt {
			answer(rw, w.grant(r))
			return
		}
		rw.Header().Set("Content-Type", wire.ProblemContentType)
		rw.WriteHeader(http.StatusForbidden)
		io.WriteString(rw, `{"code":"denied","request_id":"r7"}`) //nolint:errcheck // the agent may have gone
	}
	w.config.Services = []string{w.serve(t, w.handler(map[string]http.HandlerFunc{wire.PathUnlock: deny}), w.ca.leaf(t, goodLeaf())), "https://127.0.0.1:1"}
	_, err := run(t, w, 100, nil)
	if !errors.Is(err, service.ErrDenied) || denials != 3 || !strings.Contains(err.Error(), "request r7") {
		t.Errorf("%d denials, %v", denials, err)
	}
	denials, grantAt = 0, 3
	if _, err := run(t, w, 100, nil); err != nil {
		t.Errorf("an image that was enabled meanwhile: %v", err)
	}
}

// TestDenialsAreApart wants the pause between two rounds that end in a denial, and
// ten seconds in a real boot: every denial is a record at the service.
func TestDenialsAreApart(t *testing.T) {
	w := newWorld(t)
	var at []time.Time
	deny := func(rw http.ResponseWriter, _ *http.Request) {
		at = append(at, time.Now())
		rw.Header().Set("Content-Type", wire.ProblemContentType)
		rw.WriteHeader(http.StatusForbidden)
		io.WriteString(rw, `{"code":"denied","request_id":"r7"}`) //nolint:errcheck // the agent may have gone
	}
	w.config.Services = []string{w.serve(t, w.handler(map[string]http.HandlerFunc{wire.PathUnlock: deny}), w.ca.leaf(t, goodLeaf()))}
	s, err := unlock.New(w.config, launch(t), w.sealed, wire.InstanceDisk{})
	if err != nil {
		t.Fatal(err)
	}
	l := loop(t)
	l.DenialPause = 50 * time.Millisecond
	if _, err := s.Run(t.Context(), l); !errors.Is(err, service.ErrDenied) || len(at) != 3 {
		t.Fatalf("%d denials, %v", len(at), err)
	}
	if at[1].Sub(at[0]) < l.DenialPause || at[2].Sub(at[1]) < l.DenialPause {
		t.Errorf("denied at %v", at)
	}
	if pause := unlock.NewLoop(nil, nil).DenialPause; pause < 10*time.Second {
		t.Errorf("a real boot asks again after %s", pause)
	}
}
