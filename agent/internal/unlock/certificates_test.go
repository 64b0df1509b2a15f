package unlock_test

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestDatesAreIgnored has certificates that are valid at no common time.
func TestDatesAreIgnored(t *testing.T) {
	year := 365 * 24 * time.Hour
	for name, tc := range map[string]struct{ ca, leaf time.Duration }{
		"long over":        {-20 * year, -10 * year},
		"not yet":          {20 * year, 10 * year},
		"authority over":   {-20 * year, 0},
		"leaf much before": {0, -20 * year},
	} {
		w := newWorld(t)
		at := func(d time.Duration) (time.Time, time.Time) {
			return time.Now().Add(d - time.Hour), time.Now().Add(d + time.Hour)
		}
		from, to := at(tc.ca)
		w.ca = newAuthority(t, from, to)
		w.config.CA = w.ca.pem()
		leaf := goodLeaf()
		leaf.NotBefore, leaf.NotAfter = at(tc.leaf)
		w.config.Services = []string{w.serve(t, w.handler(nil), w.ca.leaf(t, leaf))}
		if _, err := run(t, w, 1, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCertificates has services that the measured CA does not vouch for.
func TestCertificates(t *testing.T) {
	for name, tc := range map[string]struct {
		cert func(w *world) tls.Certificate
		want string
	}{
		"other authority of the same name": {func(*world) tls.Certificate {
			return newAuthority(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)).leaf(t, goodLeaf())
		}, "unknown authority"},
		"other host": {func(w *world) tls.Certificate {
			leaf := goodLeaf()
			leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)}
			return w.ca.leaf(t, leaf)
		}, "127.0.0.2"},
		"for clients": {func(w *world) tls.Certificate {
			leaf := goodLeaf()
			leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			return w.ca.leaf(t, leaf)
		}, "incompatible key usage"},
	} {
		w := newWorld(t)
		w.config.Services = []string{w.serve(t, w.handler(nil), tc.cert(w))}
		r, err := runLogged(t, w, func(*unlock.Session) {})
		if r != nil || w.challenges != 0 || !strings.Contains(err, tc.want) {
			t.Errorf("%s: %d challenges, %s", name, w.challenges, err)
		}
	}
}

func TestOldTLS(t *testing.T) {
	w := newWorld(t)
	cert := w.ca.leaf(t, goodLeaf())
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.handler(nil), ReadHeaderTimeout: time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	defer server.Close()
	w.config.Services = []string{"https://" + listener.Addr().String()}
	if _, err := run(t, w, 1, nil); err == nil || w.challenges != 0 {
		t.Errorf("got %v after %d challenges", err, w.challenges)
	}
}

// TestIntermediate has an authority between the measured one and the service,
// whose dates count as little.
func TestIntermediate(t *testing.T) {
	w := newWorld(t)
	long := time.Now().AddDate(-9, 0, 0)
	between := w.ca.below(t, "between", long, long.Add(time.Hour))
	cert := between.leaf(t, goodLeaf())
	cert.Certificate = append(cert.Certificate, between.cert.Raw)
	w.config.Services = []string{w.serve(t, w.handler(nil), cert)}
	if _, err := run(t, w, 1, nil); err != nil {
		t.Error(err)
	}
}

// TestServiceWithoutName has a certificate that would do for some name.
func TestServiceWithoutName(t *testing.T) {
	w := newWorld(t)
	url := w.serve(t, w.handler(nil), w.ca.leaf(t, goodLeaf()))
	w.config.Services = []string{strings.Replace(url, "127.0.0.1", "", 1)}
	r, err := runLogged(t, w, func(*unlock.Session) {})
	if r != nil || w.challenges != 0 || !strings.Contains(err, "service has no name") {
		t.Errorf("%d challenges, %s", w.challenges, err)
	}
}

// TestMeasuredCA takes the certificates out of what may stand around them.
func TestMeasuredCA(t *testing.T) {
	w := newWorld(t)
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("nothing that parses")}))
	}
	for name, tc := range map[string]struct{ ca, want string }{
		"among other things": {block("EC PARAMETERS") + w.ca.pem(), ""},
		"none":               {"none", "parse measured CA: no certificate"},
		"other things only":  {block("EC PARAMETERS"), "parse measured CA: no certificate"},
		"one that is broken": {w.ca.pem() + block("CERTIFICATE"), "parse measured CA: x509: malformed certificate"},
	} {
		w.config.CA = tc.ca
		if _, err := unlock.New(w.config, launch(t), w.sealed, wire.InstanceDisk{}); fmt.Sprint(err) != cmp.Or(tc.want, "<nil>") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
