package api_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// part is a part of a registration.
type part struct {
	name string
	data []byte
}

// upload is a registration about to be sent.
type upload struct {
	registration any
	parts        []part
}

// newUpload returns a registration that is taken.
func (w *world) newUpload(name string) *upload {
	w.t.Helper()
	image := wire.NewUUID()
	return &upload{
		registration: wire.Registration{
			ImageID: image, Name: name, VCPUs: []int{1, 2}, VCPUTypes: []string{"EPYC-Milan", "EPYC-Genoa"},
		},
		parts: []part{
			{"firmware", firmware(w.t)}, {"kernel", []byte("the kernel")}, {"initrd", []byte("the initrd")},
			{"cmdline", []byte("root=/dev/mapper/cryptroot\n")}, {"unsealing_key", w.sealedKey(image)},
		},
	}
}

// firmware is the end of an OVMF.
func firmware(t testing.TB) []byte {
	t.Helper()
	return vectors.MustRead(t, "measure/inputs/fw/ovmf_AmdSev_suffix.bin")
}

// change edits the registration.
func (u *upload) change(edit func(*wire.Registration)) *upload {
	r, _ := u.registration.(wire.Registration)
	edit(&r)
	u.registration = r
	return u
}

// set replaces a part, or leaves it out when data is nil.
func (u *upload) set(name string, data []byte) *upload {
	var parts []part
	for _, p := range u.parts {
		if p.name != name {
			parts = append(parts, p)
		}
	}
	if u.parts = parts; data != nil {
		u.parts = append(u.parts, part{name, data})
	}
	return u
}

// part returns the data of a part.
func (u *upload) part(name string) []byte {
	for _, p := range u.parts {
		if p.name == name {
			return p.data
		}
	}
	return nil
}

// encode returns the body and its content type.
func (u *upload) encode(t testing.TB) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	registration, err := json.Marshal(u.registration)
	must(t, err)
	for _, p := range append([]part{{"registration", registration}}, u.parts...) {
		field, err := m.CreateFormFile(p.name, p.name)
		must(t, err)
		_, err = field.Write(p.data)
		must(t, err)
	}
	must(t, m.Close())
	return b.Bytes(), m.FormDataContentType()
}

// register sends a registration, of an image or, to another path, of a release.
func (w *world) register(u *upload, path string) answer {
	w.t.Helper()
	return w.registerAs(wire.RoleRegister, u, path)
}

func (w *world) registerAs(role wire.Role, u *upload, path string) answer {
	w.t.Helper()
	body, contentType := u.encode(w.t)
	return w.do(call{method: "POST", path: path, token: w.tokens[role], contentType: contentType, body: body})
}

// registered registers an image.
func (w *world) registered(name string) wire.Registered {
	w.t.Helper()
	return into[wire.Registered](w.register(w.newUpload(name), "/v1/images").want(201))
}

// nothingLeft wants no file and no row.
func (w *world) nothingLeft(name string) {
	w.t.Helper()
	counts, err := w.store.Count(w.t.Context())
	must(w.t, err)
	if counts.Images != 0 || counts.Releases != 0 || counts.AuditRecords != 0 {
		w.t.Errorf("%s: left in the database: %+v", name, counts)
	}
	if n := w.files.left(); n != 0 {
		w.t.Errorf("%s: %d files are left", name, n)
	}
}

// otherFirmware is one that does not measure a kernel.
func otherFirmware(t testing.TB) []byte {
	t.Helper()
	return vectors.MustRead(t, "measure/inputs/fw/ovmf_OvmfX64_suffix.bin")
}
