package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHealth asks a service that is ready, one that is not, and none.
func TestHealth(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		w.Write([]byte(`{"ready":` + strings.Repeat("x", 10_000))) //nolint:errcheck // the command's answer is what counts
	}))
	defer server.Close()
	ask := func(listen string) (code int, stdout, stderr string) {
		var out, err bytes.Buffer
		code = run(t.Context(), []string{"--health", "--data", t.TempDir(), "--admin-listen", listen}, &out, &err)
		return code, out.String(), err.String()
	}
	address := server.Listener.Addr().String()
	if code, stdout, stderr := ask(address); code != exitOK || !strings.HasPrefix(stdout, `{"ready":`) {
		t.Errorf("ready: %d, %.80s, %s", code, stdout, stderr)
	}
	status = http.StatusServiceUnavailable
	if code, stdout, stderr := ask(address); code != exitEnvironment || stdout != "" || !strings.Contains(stderr, "not ready: 503") || len(stderr) > 5000 {
		t.Errorf("not ready: %d, %q, %.200s", code, stdout, stderr)
	}
	server.Close()
	if code, _, stderr := ask(address); code != exitEnvironment || !strings.Contains(stderr, "ask the service") {
		t.Errorf("nobody there: %d, %s", code, stderr)
	}
	for listen, says := range map[string]string{"": "which is empty", "nowhere": "--admin-listen"} {
		if code, _, stderr := ask(listen); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%q: %d, %s", listen, code, stderr)
		}
	}
}

// TestReachable: a listener on all addresses is asked on loopback.
func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		":3001": "localhost:3001", "0.0.0.0:3001": "localhost:3001", "[::]:3001": "localhost:3001",
		"127.0.0.1:3001": "127.0.0.1:3001", "[2001:db8::1]:1": "[2001:db8::1]:1", "admin.example.com:1": "admin.example.com:1",
	} {
		if got, err := reachable(listen); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", listen, got, err, want)
		}
	}
}
