package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
)

// reader is a browser without scripts.
type reader struct {
	t      *testing.T
	client *http.Client
	url    string
}

func newReader(t *testing.T, p *process) *reader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // of this test's own process
	t.Cleanup(transport.CloseIdleConnections)
	r := &reader{t, &http.Client{Jar: jar, Transport: transport}, p.url}
	if status, page := r.send("/login", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"password": {p.password}}.Encode())); status != 200 || !strings.Contains(page, "Overview") {
		t.Fatalf("login: %d %s", status, page)
	}
	return r
}

// send sends a form and returns the page where that leads.
func (r *reader) send(path, contentType string, body io.Reader) (status int, page string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Origin", r.url)
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, response.Request.URL.Path + "\n" + string(data)
}

// token returns the token of the session from a form.
func (r *reader) token() string {
	r.t.Helper()
	response, err := r.client.Get(r.url + "/tokens")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(string(data))[1]
}

// upload is a form as a browser sends it: fields first, then files, of which one
// was not chosen.
func (r *reader) upload(image *guesttest.Image, fields map[string]string, firmware []byte) (contentType string, body *bytes.Buffer) {
	r.t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	fail := func(err error) {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	fail(w.WriteField("csrf", r.token()))
	fail(w.WriteField("image_id", image.ID.String()))
	for name, text := range fields {
		fail(w.WriteField(name, text))
	}
	for _, file := range []struct {
		part, name string
		data       []byte
	}{
		{"firmware", "fw.fd", firmware}, {"kernel", "vmlinuz", vectors.MustRead(r.t, "measure/inputs/payload/kernel_1500001.bin")},
		{"initrd", "", nil}, {"unsealing_key", "key", image.UnsealingKey},
	} {
		part, err := w.CreateFormFile(file.part, file.name)
		fail(err)
		_, err = part.Write(file.data)
		fail(err)
	}
	fail(w.Close())
	return w.FormDataContentType(), body
}

// TestUploadWithoutScript registers an image and a further release, after uploads
// that are refused: with the reason on the page, and what was typed still there.
func TestUploadWithoutScript(t *testing.T) {
	s := simulate(t)
	p := start(t, s.flags("--data", filepath.Join(t.TempDir(), "data"))...)
	c, l := login(t, p)
	key, err := seal.ParsePublicKey(l.IngestionKey)
	if err != nil {
		t.Fatal(err)
	}
	r, image := newReader(t, p), guesttest.NewImage(t, key)
	firmware := vectors.MustRead(t, "measure/inputs/fw/ovmf-amdsev-sid-2026.08.fd")
	image1 := map[string]string{"name": "plain <image>", "vcpus": "1, 2", "vcpu_type": "EPYC-Genoa", "cmdline": "quiet\r\n", "labels": "a=b\r\nc=d=e\r\n"}
	release2 := map[string]string{"further": image.ID.String(), "vcpus": "8", "vcpu_type": "EPYC-Turin", "cmdline": "debug"}
	changed := func(name, text string) map[string]string {
		fields := map[string]string{name: text}
		for n, t := range image1 {
			if n != name {
				fields[n] = t
			}
		}
		return fields
	}
	for _, tc := range []struct {
		name     string
		fields   map[string]string
		firmware []byte
		status   int
		says     string
	}{
		{"other firmware", image1, bytes.Repeat([]byte("x"), 8<<20), 422, "Firmware: "},
		{"too much firmware", image1, make([]byte, 20<<20), 413, "larger than 16 MiB"},
		{"no name", changed("name", ""), firmware, 422, "A name must not be empty."},
		{"no type", changed("vcpu_type", "486"), firmware, 422, "486"},
		{"counts", changed("vcpus", "many"), firmware, 422, "Numbers of vCPUs: want numbers"},
		{"labels", changed("labels", "a=b\na=c"), firmware, 422, "enter one NAME=CONTENT per line"},
		{"policy", changed("policy", "{"), firmware, 422, "Report policy: want JSON."},
		{"release of nothing", release2, firmware, 404, "Page not found."},
		{"image", image1, firmware, 200, "The image is registered."},
		{"image again", image1, firmware, 409, "is already registered, as "},
		{"release", release2, firmware, 200, "The release is proposed"},
	} {
		contentType, body := r.upload(image, tc.fields, tc.firmware)
		status, page := r.send("/register", contentType, body)
		if status != tc.status || !strings.Contains(page, tc.says) {
			t.Errorf("%s: status %d, want %d and %q: %s", tc.name, status, tc.status, tc.says, page)
		}
		if tc.status == 422 && tc.fields["name"] != "" && !strings.Contains(page, `value="plain &lt;image&gt;"`) {
			t.Errorf("%s: what was typed is gone", tc.name)
		}
	}
	found, err := c.Image(t.Context(), image.ID)
	if err != nil || len(found.Releases) != 2 || found.Labels["c"] != "d=e" || found.Releases[1].Cmdline != "quiet" || len(found.Releases[1].Variants) != 2 || len(found.Releases[0].Artifacts) != 2 {
		t.Fatalf("got %+v, %v", found, err)
	}
	old := found.Releases[1].ID.String()
	form := url.Values{"csrf": {r.token()}, "typed": {old[:7]}}
	path := "/images/" + image.ID.String() + "/releases/" + old + "/delete"
	if status, page := r.send(path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode())); status != 422 || !strings.Contains(page, "The release was not deleted.") {
		t.Errorf("status %d: %s", status, page)
	}
	form.Set("typed", old[:8])
	if status, page := r.send(path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode())); status != 200 || !strings.Contains(page, "It is deleted.") {
		t.Errorf("status %d: %s", status, page)
	}
	if found, err := c.Image(t.Context(), image.ID); err != nil || len(found.Releases) != 1 {
		t.Errorf("got %+v, %v", found, err)
	}
}
