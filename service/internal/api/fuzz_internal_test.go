package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// emptyStore has no images yet. Nothing else is asked of it before Finish.
type emptyStore struct{ registry.Store }

func (emptyStore) ImageByID(context.Context, wire.UUID) (store.Image, error) {
	return store.Image{}, store.ErrNotFound
}

func (emptyStore) ImageByName(context.Context, string) (store.Image, error) {
	return store.Image{}, store.ErrNotFound
}

func (emptyStore) CheckTombstones(context.Context, wire.UUID, [32]byte) error { return nil }

// FuzzRegistration reads bodies into a registry, up to the point where all has
// come. When they are malformed, and when the upload is given up, no file is left.
func FuzzRegistration(f *testing.F) {
	key, err := seal.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	files, err := artifact.OpenFiles(dir)
	if err != nil {
		f.Fatal(err)
	}
	reg := registry.New(registry.Config{
		Store: emptyStore{}, Gate: access.NewGate(nil, access.DefaultLimits(), time.Now), Artifacts: files, Ingestion: key, Limits: registry.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
	})
	actor := access.Actor{Principal: access.Principal{Role: wire.RoleRegister}, Secret: "secret"}
	part := func(name, data string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"../x\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + data + "\r\n"
	}
	registration := part("registration", `{"image_id":"00112233-4455-6677-8899-aabbccddeeff","name":"a","vcpus":[1],"vcpu_types":["EPYC"]}`)
	whole := registration + part("kernel", "=41") + part("initrd", "b") + part("cmdline", "c") + "--b--\r\n"
	for _, body := range []string{
		whole, whole[:40], whole[:200], whole[:len(whole)-4], "--b--", "--b\r\n\r\n", "", "--b\r\n: x\r\n\r\n", part("registration", "{}") + "--b--",
		registration + part("firmware", "x") + "--b--", registration + part("unsealing_key", "x") + "--b--", registration + part("x", "x") + "--b--",
	} {
		f.Add([]byte(body), "multipart/form-data; boundary=b")
	}
	f.Add([]byte(whole), "multipart/form-data")
	f.Add([]byte(whole), "multipart/form-data; boundary=\"\"")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		upload, err := reg.UploadImage(t.Context(), actor)
		if err != nil {
			t.Fatal(err)
		}
		err = readRegistration(t.Context(), bytes.NewReader(body), contentType, upload)
		upload.Abort()
		if code := codeOf(err); code == wire.CodeInternal || code == wire.CodeUnavailable {
			t.Errorf("%s: %v", code, err)
		}
		left, err := os.ReadDir(filepath.Join(dir, "incoming"))
		if err != nil || len(left) != 0 {
			t.Errorf("%d files are left, %v", len(left), err)
		}
	})
}

// codeOf returns the code of an error, or none.
func codeOf(err error) wire.Code {
	if err == nil {
		return ""
	}
	return classify(err).code
}

// FuzzUnlockRequest decodes bodies; what is taken has the right sizes.
func FuzzUnlockRequest(f *testing.F) {
	good, err := json.Marshal(wire.UnlockRequest{
		Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), PublicKey: make([]byte, wire.PublicKeySize),
		BootKey: make([]byte, wire.BootKeySize), SealedVMK: make([]byte, wire.SealedVMKSize),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, body := range []string{"", "{}", `{"report":""}`, `{"report":null}`, `{"nonce":"AA=="}`, `{"nonce":[1,2]}`, `{"x":1}`, "{}{}", "[]", "{\"nonce\":\"\xff\"}"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var r wire.UnlockRequest
		if err := decodeJSON(body, &r); err != nil {
			if classify(err).code != wire.CodeMalformed {
				t.Errorf("%v", err)
			}
			return
		}
		if r.Validate() == nil && (len(r.Report) != 1184 || len(r.Nonce) != 64 || len(r.Certificates) > wire.MaxCertificates) {
			t.Errorf("%+v", r)
		}
	})
}

// FuzzGuestCall decodes calls and their bodies; what is taken is within bounds.
func FuzzGuestCall(f *testing.F) {
	inner := `{"machine":"01000000-0000-0000-0000-000000000000","running":"6.12","kernels":[{"release":"6.13","sha256":"` + strings.Repeat("0a", 32) + `","modules":true}]}`
	good, err := json.Marshal(wire.GuestCall{Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), Body: []byte(inner)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte(inner))
	for _, body := range []string{"", "{}", `{"report":""}`, `{"body":null}`, `{"kernels":[{}]}`, `{"running":"../x"}`, "{}{}", "[]", "{\"nonce\":\"\xff\"}"} {
		f.Add([]byte(body), []byte(body))
	}
	f.Fuzz(func(t *testing.T, outer, inner []byte) {
		var c wire.GuestCall
		if err := decodeJSON(outer, &c); err != nil {
			if classify(err).code != wire.CodeMalformed {
				t.Errorf("%v", err)
			}
		} else if c.Validate() == nil && (len(c.Report) != 1184 || len(c.Nonce) != 64 || len(c.Body) == 0 || len(c.Body) > wire.MaxCallBody) {
			t.Errorf("%+v", c)
		}
		var r wire.UpdateRequest
		if decodeJSON(inner, &r) != nil || r.Validate() != nil {
			return
		}
		for _, k := range r.Kernels {
			if len(r.Kernels) > wire.MaxKernels || len(k.SHA256) != 64 || len(k.Release) > wire.MaxKernelRelease || strings.ContainsAny(k.Release, "/<>&\"' \x00") {
				t.Errorf("%+v", r)
			}
		}
	})
}

// FuzzBootCall decodes calls of instances' boots and their bodies; what is taken is
// within bounds.
func FuzzBootCall(f *testing.F) {
	sealed, number := make([]byte, wire.SealedGuestSecretSize), uint64(7)
	bodies := []any{
		wire.ClaimRequest{Sealed: sealed, PublicKey: make([]byte, wire.PublicKeySize)},
		wire.ReadyRequest{Sealed: sealed[:32], Generation: number, Recovery: []byte("age-encryption.org/v1")}, wire.CommitRequest{Generation: number},
	}
	for _, b := range bodies {
		inner, err := json.Marshal(b)
		if err != nil {
			f.Fatal(err)
		}
		outer, err := json.Marshal(wire.BootCall{
			GuestCall: wire.GuestCall{Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), Body: inner, BootSignature: make([]byte, 64)},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(outer, inner)
	}
	for _, body := range []string{"", "{}", `{"boot_signature":""}`, `{"generation":-1}`, `{"generation":1.5}`, `{"generation":18446744073709551616}`, `{"sealed":null}`, "{}{}"} {
		f.Add([]byte(body), []byte(body))
	}
	f.Fuzz(func(t *testing.T, outer, inner []byte) {
		var c wire.BootCall
		if err := decodeJSON(outer, &c); err != nil {
			if classify(err).code != wire.CodeMalformed {
				t.Errorf("%v", err)
			}
		} else if c.Validate() == nil && (len(c.Report) != 1184 || len(c.BootSignature) != 64 || len(c.Body) == 0 || len(c.Body) > wire.MaxBootCallBody) {
			t.Errorf("%+v", c)
		}
		var claim wire.ClaimRequest
		if decodeJSON(inner, &claim) == nil && claim.Validate() == nil && (len(claim.Sealed) != wire.SealedGuestSecretSize || len(claim.PublicKey) != wire.PublicKeySize) {
			t.Errorf("%+v", claim)
		}
		var ready wire.ReadyRequest
		if decodeJSON(inner, &ready) == nil && ready.Validate() == nil &&
			(len(ready.Sealed) != 32 || len(ready.Recovery) > wire.MaxRecovery || ready.Generation == 0 || ready.Generation >= wire.MaxGeneration) {
			t.Errorf("%+v", ready)
		}
		var commit wire.CommitRequest
		if decodeJSON(inner, &commit) == nil && commit.Validate() == nil && (commit.Generation == 0 || commit.Generation >= wire.MaxGeneration) {
			t.Errorf("%+v", commit)
		}
	})
}

// FuzzAuditCursor: what is taken is written in the same way.
func FuzzAuditCursor(f *testing.F) {
	for _, cursor := range []string{"after-0", "before-1", "after-9223372036854775807", "after-9223372036854775808", "after-01", "after--1", "before-+1", "after", "-1", ""} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseAuditCursor(text)
		if err != nil {
			if classify(err).code != wire.CodeMalformed {
				t.Errorf("%v", err)
			}
			return
		}
		if c.String() != text || c.seq < 0 {
			t.Errorf("%q became %+v", text, c)
		}
	})
}
