//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
)

// hostAddress is where a guest of QEMU's user network finds the host's loopback.
const hostAddress = "10.0.2.2"

// world is a simulated AMD and an attestation service that trusts it.
type world struct {
	simState string // keys of the simulated AMD
	root     string // its ARKs
	kds      *exec.Cmd
	kdsURL   string
	data     string // of the service
	port     string
	service  *exec.Cmd
	url      string // of the service, for programs of the host
	guestURL string // and for guests
}

var (
	theWorld   *world
	worldMaker sync.Mutex
)

func loginFile() string { return filepath.Join(scratch, "login.json") }

// theService returns the world, and makes it when it is not there.
func theService(t testing.TB) *world {
	t.Helper()
	worldMaker.Lock()
	defer worldMaker.Unlock()
	if theWorld != nil {
		return theWorld
	}
	w := &world{
		simState: filepath.Join(scratch, "sim.json"), root: filepath.Join(scratch, "sim-root.pem"),
		data: filepath.Join(scratch, "data"), port: freePort(t),
	}
	theWorld = w
	w.startKDS(t)
	w.start(t)
	w.login(t)
	return w
}

func stopWorld() {
	if theWorld == nil {
		return
	}
	for _, cmd := range []*exec.Cmd{theWorld.kds, theWorld.service} {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (w *world) startKDS(t testing.TB) {
	t.Helper()
	urlFile := filepath.Join(scratch, "kds.url")
	w.kds = exec.Command(program("snpguard"), "sim", "kds", "--state", w.simState, "--root-out", w.root,
		"--listen", "127.0.0.1:0", "--url-out", urlFile)
	if err := w.kds.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1800 { // its keys take long to make on a busy machine
		if url, err := os.ReadFile(urlFile); err == nil && len(url) > 0 {
			w.kdsURL = strings.TrimSpace(string(url))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the simulated KDS did not start")
}

// start starts the service, for the first time or again.
func (w *world) start(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(filepath.Join(scratch, "service.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w.service = exec.Command(program("snpguard-service"), "--data", w.data, "--listen", "127.0.0.1:"+w.port,
		"--admin-listen", "", "--hostname", "localhost,127.0.0.1,"+hostAddress,
		"--kds", w.kdsURL, "--insecure-trust-root", w.root)
	w.service.Stdout = out
	stderr, err := w.service.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			go io.Copy(io.Discard, stderr) //nolint:errcheck // until the service ends
			w.url, w.guestURL = "https://127.0.0.1:"+w.port, "https://"+hostAddress+":"+w.port
			return
		}
	}
	t.Fatal("the service did not start")
}

// login logs in as "snpguard login" does.
func (w *world) login(t testing.TB) {
	t.Helper()
	printed, err := os.ReadFile(filepath.Join(scratch, "service.out"))
	if err != nil {
		t.Fatal(err)
	}
	password := regexp.MustCompile(`shown this once:\s+(\S.*\S)\n`).FindSubmatch(printed)
	if password == nil {
		t.Fatalf("no password in %q", printed)
	}
	found, err := client.Discover(context.Background(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(w.url, found.Info.CACertificate, "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.TokenByPassword(context.Background(), string(password[1]), "e2e", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	login := &client.Login{
		URL: w.url, CA: found.Info.CACertificate, IdentityKey: found.Info.IdentityKey,
		IngestionKey: found.Info.IngestionKey, Token: token.Secret,
	}
	if err := login.Write(loginFile()); err != nil {
		t.Fatal(err)
	}
}
