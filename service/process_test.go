package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programPath is the service as TestMain built it.
var programPath string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "snpguard-service-test-")
	if err != nil {
		panic(err)
	}
	programPath = filepath.Join(dir, "snpguard-service")
	if out, err := exec.Command("go", "build", "-o", programPath, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	os.Exit(code)
}

// process is a running service.
type process struct {
	cmd         *exec.Cmd
	url, admin  string
	password    string // of a first start
	stdout      string // path of a file: it has no reader that lags behind
	log         syncBuffer
	waited      chan struct{}
	exitedState error
}

// syncBuffer is a buffer that one goroutine writes and others read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs the service on free ports and waits until it serves.
func start(tb testing.TB, args ...string) *process {
	tb.Helper()
	p := launch(tb, args...)
	if p.url == "" {
		<-p.waited
		tb.Fatalf("the service did not start: %v\n%s", p.exitedState, p.log.String())
	}
	return p
}

// launch runs the service and returns when it serves or has ended.
func launch(tb testing.TB, args ...string) *process {
	tb.Helper()
	p := &process{waited: make(chan struct{})}
	p.cmd = exec.Command(programPath, append([]string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)...)
	stdout, err := os.CreateTemp(tb.TempDir(), "stdout")
	if err != nil {
		tb.Fatal(err)
	}
	defer stdout.Close()
	p.stdout, p.cmd.Stdout = stdout.Name(), stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	serving := make(chan struct{})
	go p.readLog(stderr, serving)
	tb.Cleanup(p.kill)
	select {
	case <-serving:
	case <-p.waited:
	case <-time.After(time.Minute):
		tb.Fatalf("the service neither serves nor ends\n%s", p.log.String())
	}
	printed, err := os.ReadFile(p.stdout)
	if err != nil {
		tb.Fatal(err)
	}
	if m := regexp.MustCompile(`shown this once:\s+(\S.*\S)\n`).FindSubmatch(printed); m != nil {
		p.password = string(m[1])
	}
	return p
}

// readLog keeps the log, finds the addresses in it and waits for the end.
func (p *process) readLog(stderr io.Reader, serving chan struct{}) {
	lines := bufio.NewScanner(io.TeeReader(stderr, &p.log))
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		switch line.Msg {
		case "admin listener":
			p.admin = "http://" + line.Address
		case "serving":
			p.url = "https://" + line.Address
			close(serving)
		}
	}
	p.exitedState = p.cmd.Wait()
	close(p.waited)
}

// stop ends the service as an operator would.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	select {
	case <-p.waited:
		if p.exitedState != nil {
			tb.Errorf("the service ended with %v\n%s", p.exitedState, p.log.String())
		}
	case <-time.After(time.Minute):
		tb.Errorf("the service did not end\n%s", p.log.String())
	}
}

// kill ends it without warning.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-p.waited
}

func (p *process) get(tb testing.TB, path string) (status int, body string) {
	tb.Helper()
	response, err := http.Get(p.admin + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func TestFirstStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first := start(t, "--data", data)
	if len(strings.Fields(strings.ReplaceAll(first.password, "-", " "))) < 6 {
		t.Errorf("master password %q", first.password)
	}
	if strings.Contains(first.log.String(), first.password) {
		t.Error("the log has the master password")
	}
	if status, body := first.get(t, "/readyz"); status != 200 || !strings.Contains(body, `"details":"sqlite"`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	if status, body := first.get(t, "/metrics"); status != 200 || !strings.Contains(body, "snpguard_build_info") {
		t.Errorf("metrics: %d %.100s", status, body)
	}
	first.stop(t)
	if info, err := os.Stat(filepath.Join(data, "kek")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("KEK file: %v, %v", info, err)
	}

	second := start(t, "--data", data)
	if second.password != "" {
		t.Error("a second start prints a master password")
	}
	fingerprints := regexp.MustCompile(`"(ca|identity_key|ingestion_key)_fingerprint":"([0-9a-f]{64})"`)
	if a, b := fingerprints.FindAllString(first.log.String(), -1), fingerprints.FindAllString(second.log.String(), -1); len(a) != 3 || strings.Join(a, "") != strings.Join(b, "") {
		t.Errorf("keys changed: %v, %v", a, b)
	}
}

func TestRefusedStarts(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, lost := filepath.Join(dir, "data"), filepath.Join(dir, "lost")
	unmade := filepath.Join(dir, "unmade")
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "--data", data).stop(t)
	for _, tc := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"unknown flag", []string{"--frobnicate"}, 2, "unknown flag"},
		{"another KEK", []string{"--data", data, "--kek-file", other}, 3, "does not fit this database; " + putBackKEK},
		{"lost KEK", []string{"--data", data, "--kek-file", lost}, 3, "no such file or directory; " + putBackKEK},
		{"simulated root is none", []string{"--data", data, "--insecure-trust-root", garbage}, 3, "garbage"},
		{"missing certificate", []string{"--data", data, "--tls-cert", garbage, "--tls-key", garbage}, 3, "--tls-cert "},
		{"database that is none", []string{"--data", dir, "--database", "mysql://x"}, 2, "--database"},
		{"address in use", []string{"--data", data, "--listen", "256.0.0.1:0"}, 3, "--listen 256.0.0.1:0: "},
		{"no data for an address in use", []string{"--data", unmade, "--listen", "256.0.0.1:0"}, 3, "--listen 256.0.0.1:0: "},
		{"admin address in use", []string{"--data", unmade, "--admin-listen", "256.0.0.1:0"}, 3, "--admin-listen 256.0.0.1:0: "},
	} {
		p := launch(t, tc.args...)
		if p.url != "" {
			t.Errorf("%s: it serves", tc.name)
			continue
		}
		<-p.waited
		if code := p.cmd.ProcessState.ExitCode(); code != tc.code || !strings.Contains(p.log.String(), tc.says) {
			t.Errorf("%s: exit code %d, want %d\n%s", tc.name, code, tc.code, p.log.String())
		}
	}
	if _, err := os.Stat(lost); !os.IsNotExist(err) {
		t.Errorf("a key was made that fits nothing: %v", err)
	}
	if _, err := os.Stat(unmade); !os.IsNotExist(err) {
		t.Errorf("a service that cannot listen has made its data: %v", err)
	}
}
