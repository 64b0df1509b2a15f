package web

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// fixture is what operations are about: the same for both faces.
type fixture struct {
	*world
	api      http.Handler
	image    store.Image
	release  store.Release // in force
	proposed store.Release
	token    store.Token
	vm       store.Instance
	newImage wire.UUID
	sealed   []byte // unsealing key of newImage
}

// oneKDS imports one certificate from every archive but an empty one.
type oneKDS struct{}

func (oneKDS) Export(_ context.Context, w io.Writer) ([]kds.Key, []kds.Inspected, error) {
	_, err := io.WriteString(w, "archive")
	return nil, nil, err
}

func (oneKDS) Import(_ context.Context, r io.Reader) ([]kds.Key, error) {
	if data, err := io.ReadAll(r); err != nil || string(data) != "archive" {
		return nil, kds.ErrArchive
	}
	return make([]kds.Key, 1), nil
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{world: newWorld(t, storetest.SQLite(t)), newImage: wire.UUID{15: 9}}
	f.web.cfg.Desk.KDS = oneKDS{}
	f.api = api.New(api.Config{
		Store: f.store, Registry: f.web.cfg.Registry, Accounts: f.web.cfg.Accounts, Desk: f.web.cfg.Desk,
		Limits: api.DefaultLimits(), Log: slog.New(slog.DiscardHandler),
	})
	image, release := storetest.Standing()
	var err error
	f.image, f.release, err = f.store.CreateImage(t.Context(), image, release, storetest.Present)
	must(t, err)
	further := storetest.Release("f", "k", "i")
	further.ID = wire.UUID{15: 3}
	f.proposed, err = f.store.AddRelease(t.Context(), image.ID, further, storetest.Present)
	must(t, err)
	f.token, err = f.store.CreateToken(t.Context(), store.Token{
		ID: wire.UUID{15: 4}, Name: "packer", Role: string(wire.RoleRead), Hash: [32]byte{1}, ExpiresAt: time.Now().Add(time.Hour),
	})
	must(t, err)
	must(t, f.store.SetInstanceSettings(t.Context(), f.image.ID, storetest.Named()))
	vm := storetest.Instance(f.image.ID, "web-1")
	vm.ID = wire.UUID{15: 5}
	f.vm, err = f.store.CreateInstance(t.Context(), vm)
	must(t, err)
	key, err := seal.GenerateKey()
	must(t, err)
	secret, err := key.Bytes()
	must(t, err)
	f.sealed, err = f.web.cfg.Registry.Ingestion.Public().Seal(wire.UnsealingKeyInfo(f.newImage), secret)
	must(t, err)
	return f
}

// answer is what a face says of a request.
type answer struct {
	status int
	detail string // of a refusal
	body   string
}

// ask sends a request to the API in the name of the session.
func (f *fixture) ask(method, path, contentType string, body []byte) answer {
	f.t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if len(body) > 0 {
		r.Header.Set("Content-Type", contentType)
	}
	if path != wire.PathSession || method != http.MethodPost {
		r.Header.Set("Authorization", "Bearer "+f.secret)
	}
	got := httptest.NewRecorder()
	f.api.ServeHTTP(got, r)
	a := answer{status: got.Code, body: got.Body.String()}
	if got.Code >= http.StatusBadRequest {
		var p wire.Problem
		must(f.t, json.Unmarshal(got.Body.Bytes(), &p))
		a.detail = p.Detail
	}
	return a
}

func (f *fixture) askJSON(method, path string, in any) answer {
	f.t.Helper()
	data, err := json.Marshal(in)
	must(f.t, err)
	return f.ask(method, path, "application/json", data)
}

// click sends a form to the dashboard.
func (f *fixture) click(path string, form url.Values) answer {
	f.t.Helper()
	got := f.post(path, form)
	return answer{status: got.Code, body: got.Body.String()}
}

// upload makes a multipart body of fields, of pairs, and files.
func (f *fixture) multipart(fields []string, files map[string][]byte) (contentType string, body []byte) {
	f.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		must(f.t, m.WriteField(fields[i], fields[i+1]))
	}
	for name, data := range files {
		part, err := m.CreateFormFile(name, "file")
		must(f.t, err)
		_, err = part.Write(data)
		must(f.t, err)
	}
	must(f.t, m.Close())
	return m.FormDataContentType(), b.Bytes()
}

func (f *fixture) clickUpload(path string, fields []string, files map[string][]byte) answer {
	f.t.Helper()
	contentType, body := f.multipart(append([]string{fieldToken, (&request{secret: f.secret}).token()}, fields...), files)
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	got := f.do(r)
	return answer{status: got.Code, body: got.Body.String()}
}

// files are those of a registration.
func (f *fixture) files() map[string][]byte {
	return map[string][]byte{
		"firmware": vectors.MustRead(f.t, "measure/inputs/fw/ovmf_AmdSev_suffix.bin"), "kernel": []byte("kernel"), "initrd": []byte("initrd"),
		"unsealing_key": f.sealed,
	}
}

func (f *fixture) registration(name string, id wire.UUID) wire.Registration {
	return wire.Registration{ImageID: id, Name: name, VCPUs: []int{1}, VCPUTypes: []string{"EPYC-Milan"}}
}

// askRegister registers by the API.
func (f *fixture) askRegister(path, name string, id wire.UUID, files map[string][]byte) answer {
	f.t.Helper()
	registration, err := json.Marshal(f.registration(name, id))
	must(f.t, err)
	contentType, body := f.multipart([]string{"registration", string(registration), "cmdline", "root=/dev/mapper/cryptroot"}, files)
	return f.ask(http.MethodPost, path, contentType, body)
}

// clickRegister registers by the dashboard.
func (f *fixture) clickRegister(further, name string, id wire.UUID, files map[string][]byte) answer {
	f.t.Helper()
	return f.clickUpload("/register", []string{
		"image_id", id.String(), "name", name, "vcpus", "1", "vcpu_type", "EPYC-Milan", "cmdline", "root=/dev/mapper/cryptroot", "further", further,
	}, files)
}

// call is one operation through both faces.
type twoFaced struct {
	name     string
	op       access.Operation
	api, web func(f *fixture) answer
	refused  bool
}

func twoFacedCalls() []twoFaced {
	image := func(f *fixture) string { return "/images/" + f.image.ID.String() }
	release := func(f *fixture) string { return image(f) + "/releases/" + f.release.ID.String() }
	proposed := func(f *fixture) string { return image(f) + "/releases/" + f.proposed.ID.String() }
	patch := func(path func(*fixture) string, in any) func(*fixture) answer {
		return func(f *fixture) answer { return f.askJSON(http.MethodPatch, "/v1"+path(f), in) }
	}
	post := func(path func(*fixture) string, action string, in any) func(*fixture) answer {
		return func(f *fixture) answer { return f.askJSON(http.MethodPost, "/v1"+path(f)+action, in) }
	}
	retired := func(then func(*fixture) answer) func(*fixture) answer {
		return func(f *fixture) answer {
			must(f.t, f.store.RetireRelease(f.t.Context(), f.release.ID, store.Verdict{By: storetest.Approver}))
			return then(f)
		}
	}
	click := func(path func(*fixture) string, action string, form url.Values) func(*fixture) answer {
		return func(f *fixture) answer { return f.click(path(f)+action, maps.Clone(form)) }
	}
	remove := func(path func(*fixture) string) func(*fixture) answer {
		return func(f *fixture) answer { return f.ask(http.MethodDelete, "/v1"+path(f), "", nil) }
	}
	channeled := func(then func(*fixture) answer) func(*fixture) answer {
		return func(f *fixture) answer {
			must(f.t, f.store.SetChannel(f.t.Context(), store.Channel{Name: "a/b", Target: store.Target{Image: f.image.ID}, ChangedBy: storetest.Approver}, nil))
			return then(f)
		}
	}
	setChannel := func(name string, move bool) func(*fixture) answer {
		return func(f *fixture) answer {
			change := wire.ChannelChange{Target: wire.ChannelTarget{ImageID: f.image.ID, ReleaseID: &f.release.ID}}
			if move {
				change.Previous = &wire.ChannelTarget{ImageID: f.image.ID}
			}
			return f.askJSON(http.MethodPut, wire.PathChannels+"/"+name, change)
		}
	}
	clickChannel := func(name string, move bool) func(*fixture) answer {
		return func(f *fixture) answer {
			form := url.Values{"name": {name}, "image": {f.image.ID.String()}, "release": {f.release.ID.String()}}
			if move {
				form.Set("previous_image", f.image.ID.String())
			}
			return f.click("/channels", form)
		}
	}
	vm := func(f *fixture) string { return "/instances/" + f.vm.ID.String() }
	ready := func(then func(*fixture) answer) func(*fixture) answer {
		return func(f *fixture) answer {
			f.ready(f.release, f.vm.ID)
			return then(f)
		}
	}
	gone := func(then func(*fixture) answer) func(*fixture) answer {
		return func(f *fixture) answer {
			must(f.t, f.store.DeleteInstance(f.t.Context(), f.vm.ID))
			return then(f)
		}
	}
	create := func(name string) func(*fixture) answer {
		return func(f *fixture) answer {
			return f.askJSON(http.MethodPost, wire.PathInstances, wire.InstanceCreation{ImageID: f.image.ID, Name: name})
		}
	}
	clickCreate := func(name string) func(*fixture) answer {
		return func(f *fixture) answer {
			return f.click("/instances", url.Values{"image": {f.image.ID.String()}, "name": {name}})
		}
	}
	act := func(action string) func(*fixture) answer {
		return func(f *fixture) answer { return f.ask(http.MethodPost, "/v1"+vm(f)+"/"+action, "", nil) }
	}
	download := func(f *fixture) answer { return f.ask(http.MethodGet, "/v1"+vm(f)+"/recovery", "", nil) }
	tokens := func(name string) func(*fixture) answer {
		return func(f *fixture) answer {
			return f.askJSON(http.MethodPost, wire.PathTokens, wire.TokenRequest{Name: name, Role: wire.RoleRegister, ExpiresIn: 86400})
		}
	}
	session := func(password func(*fixture) string) (ask, press func(*fixture) answer) {
		return func(f *fixture) answer {
				return f.askJSON(http.MethodPost, wire.PathSession, wire.Login{Password: password(f)})
			},
			func(f *fixture) answer {
				r := newForm("/login", url.Values{"password": {password(f)}})
				r.Header.Set("Cookie", "other=1")
				got := f.do(r)
				return answer{status: got.Code, body: got.Body.String()}
			}
	}
	change := func(current func(*fixture) string, next string) (ask, press func(*fixture) answer) {
		return func(f *fixture) answer {
				return f.askJSON(http.MethodPost, wire.PathPassword, wire.PasswordChange{Current: current(f), New: next})
			}, func(f *fixture) answer {
				return f.click("/settings/password", url.Values{"current": {current(f)}, "new": {next}, "repeated": {next}})
			}
	}
	archive := func(data string) (ask, press func(*fixture) answer) {
		return func(f *fixture) answer {
				return f.ask(http.MethodPost, wire.PathKDS+"/import", "application/gzip", []byte(data))
			},
			func(f *fixture) answer {
				return f.clickUpload("/settings/kds", nil, map[string][]byte{"archive": []byte(data)})
			}
	}
	right, wrong := func(f *fixture) string { return f.password }, func(*fixture) string { return "not the password" }
	login, loginForm := session(right)
	badLogin, badLoginForm := session(wrong)
	newPassword, newPasswordForm := change(right, "a new password that is long")
	short, shortForm := change(right, "short")
	archived, archivedForm := archive("archive")
	broken, brokenForm := archive("broken")
	sure := url.Values{fieldSure: {"yes"}}
	typedName, typedID := url.Values{"typed": {"standing"}}, func(f *fixture) url.Values { return url.Values{"typed": {f.release.ID.String()[:8]}} }
	typedVM := url.Values{"typed": {"web-1"}}
	auto, badMode := wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 7, Generation: wire.GenerationEnforce}, wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationReport}
	name, path, labels := "renamed", "a/path", map[string]string{"a": "b"}
	off := false
	return []twoFaced{
		{"rename", access.ChangeImage, patch(image, wire.ImagePatch{Name: &name, Labels: &labels}), click(image, "/edit", url.Values{"name": {name}, "labels": {"a=b"}}), false},
		{"rename to a path", access.ChangeImage, patch(image, wire.ImagePatch{Name: &path, Labels: &labels}), click(image, "/edit", url.Values{"name": {path}, "labels": {"a=b"}}), true},
		{"disable", access.ChangeImage, patch(image, wire.ImagePatch{Enabled: &off}), click(image, "/enabled", url.Values{"enabled": {"false"}, fieldSure: {"yes"}}), false},
		{"policy", access.ChangeImage, patch(image, wire.ImagePatch{Policy: json.RawMessage(`{"version":1,"vmpl":0}`), Revision: 1}),
			click(image, "/policy", url.Values{"policy": {"{\n \"version\": 1, \"vmpl\": 0}"}, "revision": {"1"}}), true}, // no such field
		{"old policy", access.ChangeImage, patch(image, wire.ImagePatch{Policy: json.RawMessage(`{"version":1}`), Revision: 7}),
			click(image, "/policy", url.Values{"policy": {`{"version":1}`}, "revision": {"7"}}), true},
		{"another policy", access.ChangeImage, patch(image, wire.ImagePatch{Policy: json.RawMessage(`{"version":1,"platform":{"smt":false}}`), Revision: 1}),
			click(image, "/policy", url.Values{"policy": {"{\"version\":1,\n\"platform\":{\"smt\":false}}"}, "revision": {"1"}}), false},
		{"delete", access.DeleteImage, remove(image), click(image, "/delete", typedName), false},
		{"release policy", access.ChangeRelease, patch(release, wire.ReleasePatch{Policy: json.RawMessage(`{"version":1}`), Revision: 1}),
			click(release, "/policy", url.Values{"policy": {`{"version":1}`}, "revision": {"1"}}), false},
		{"retire", access.RetireRelease, post(release, "/retirement", wire.Retirement{Reason: "old", InUse: true}), click(release, "/retirement", url.Values{"reason": {"old"}, fieldSure: {"yes"}}), false},
		{"retire a proposal", access.RetireRelease, post(proposed, "/retirement", wire.Retirement{InUse: true}), click(proposed, "/retirement", sure), true},
		{"reject", access.RejectRelease, post(proposed, "/rejection", wire.Rejection{Reason: "unknown kernel"}), click(proposed, "/rejection", url.Values{"reason": {"unknown kernel"}, fieldSure: {"yes"}}), false},
		{"reject what is approved", access.RejectRelease, post(release, "/rejection", wire.Rejection{}), click(release, "/rejection", sure), true},
		{"restore", access.RestoreRelease, retired(post(release, "/restoration", wire.Restoration{})), retired(click(release, "/restoration", sure)), false},
		{"restore what is approved", access.RestoreRelease, post(release, "/restoration", wire.Restoration{}), click(release, "/restoration", sure), true},
		{"approve", access.ApproveRelease, func(f *fixture) answer {
			hash := f.proposed.ContentHash()
			return f.askJSON(http.MethodPost, "/v1"+proposed(f)+"/approval", wire.Approval{ContentHash: hex.EncodeToString(hash[:])})
		}, func(f *fixture) answer {
			hash := f.proposed.ContentHash()
			return f.click(proposed(f)+"/approval", url.Values{"content": {hex.EncodeToString(hash[:])}, fieldSure: {"yes"}})
		}, false},
		{"approve another", access.ApproveRelease, func(f *fixture) answer {
			return f.askJSON(http.MethodPost, "/v1"+proposed(f)+"/approval", wire.Approval{ContentHash: strings.Repeat("0", 64)})
		}, click(proposed, "/approval", url.Values{"content": {strings.Repeat("0", 64)}, fieldSure: {"yes"}}), true},
		{"channel", access.SetChannel, setChannel("a/b", false), clickChannel("a/b", false), false},
		{"channel of no family", access.SetChannel, setChannel("A/b", false), clickChannel("A/b", false), true},
		{"move a channel", access.SetChannel, channeled(setChannel("a/b", true)), channeled(clickChannel("a/b", true)), false},
		{"make a channel twice", access.SetChannel, channeled(setChannel("a/b", false)), channeled(clickChannel("a/b", false)), true},
		{"delete channel", access.DeleteChannel, channeled(remove(func(*fixture) string { return "/channels/a/b" })),
			channeled(click(func(*fixture) string { return "/channels" }, "/delete", url.Values{"name": {"a/b"}, fieldSure: {"yes"}})), false},
		{"delete release", access.DeleteRelease, remove(release), func(f *fixture) answer { return f.click(release(f)+"/delete", typedID(f)) }, false},
		{"register", access.RegisterImage, func(f *fixture) answer { return f.askRegister(wire.PathImages, "new", f.newImage, f.files()) },
			func(f *fixture) answer { return f.clickRegister("", "new", f.newImage, f.files()) }, false},
		{"register without files", access.RegisterImage, func(f *fixture) answer { return f.askRegister(wire.PathImages, "new", f.newImage, nil) },
			func(f *fixture) answer { return f.clickRegister("", "new", f.newImage, nil) }, true},
		{"register a taken name", access.RegisterImage, func(f *fixture) answer { return f.askRegister(wire.PathImages, "standing", f.newImage, f.files()) },
			func(f *fixture) answer { return f.clickRegister("", "standing", f.newImage, f.files()) }, true},
		{"release of another name", access.RegisterRelease, func(f *fixture) answer {
			return f.askRegister("/v1"+image(f)+"/releases", "other", f.image.ID, f.files())
		}, func(f *fixture) answer { return f.clickRegister(f.image.ID.String(), "other", f.image.ID, f.files()) }, true},
		{"instances of an image", access.ChangeImage, patch(image, wire.ImagePatch{Instances: &auto}),
			click(image, "/instances", url.Values{"mode": {"auto"}, "instances": {"7"}, "generation": {"enforce"}}), false},
		{"instances no more", access.ChangeImage, patch(image, wire.ImagePatch{Instances: &badMode}),
			click(image, "/instances", url.Values{"mode": {"none"}, "generation": {"report"}}), true},
		{"instance", access.CreateInstance, create("web-2"), clickCreate("web-2"), false},
		{"instance of a taken name", access.CreateInstance, create("web-1"), clickCreate("web-1"), true},
		{"instance without a name", access.CreateInstance, create(""), clickCreate(""), true},
		{"disable an instance", access.ChangeInstance, patch(vm, wire.InstancePatch{Enabled: &off}), click(vm, "/enabled", url.Values{"enabled": {"false"}, fieldSure: {"yes"}}), false},
		{"disable what is deleted", access.ChangeInstance, gone(patch(vm, wire.InstancePatch{Enabled: &off})),
			gone(click(vm, "/enabled", url.Values{"enabled": {"false"}, fieldSure: {"yes"}})), true},
		{"reset an instance", access.ResetInstance, ready(act("reset")), ready(click(vm, "/reset", typedVM)), false},
		{"allow a restore", access.AllowRestore, ready(post(vm, "/allow-restore", wire.RestoreAllowance{Generation: 4})), ready(click(vm, "/restore", url.Values{"generation": {"4"}})), false},
		{"allow a restore of the newest", access.AllowRestore, ready(post(vm, "/allow-restore", wire.RestoreAllowance{Generation: 5})), ready(click(vm, "/restore", url.Values{"generation": {"5"}})), true},
		{"recovery", access.ReadRecovery, ready(download), ready(click(vm, "/recovery", url.Values{})), false},
		{"recovery of a new one", access.ReadRecovery, download, click(vm, "/recovery", url.Values{}), true},
		{"delete an instance", access.DeleteInstance, remove(vm), click(vm, "/delete", typedVM), false},
		{"delete it twice", access.DeleteInstance, gone(remove(vm)), gone(click(vm, "/delete", typedVM)), true},
		{"undelete", access.UndeleteInstance, gone(act("undelete")), gone(click(vm, "/undelete", url.Values{})), false},
		{"undelete what is there", access.UndeleteInstance, act("undelete"), click(vm, "/undelete", url.Values{}), true},
		{"token", access.CreateToken, tokens("ci"), click(func(*fixture) string { return "/tokens" }, "", url.Values{"name": {"ci"}, "role": {"register"}, "days": {"1"}}), false},
		{"token without a name", access.CreateToken, tokens(""), click(func(*fixture) string { return "/tokens" }, "", url.Values{"role": {"register"}, "days": {"1"}}), true},
		{"revoke", access.RevokeToken, remove(func(f *fixture) string { return "/tokens/" + f.token.ID.String() }),
			click(func(f *fixture) string { return "/tokens/" + f.token.ID.String() }, "/revoke", sure), false},
		{"import", access.ImportKDS, archived, archivedForm, false},
		{"import what is broken", access.ImportKDS, broken, brokenForm, true},
		{"log in", access.LogIn, login, loginForm, false},
		{"log in with another password", access.LogIn, badLogin, badLoginForm, true},
		{"log out", access.LogOut, remove(func(*fixture) string { return "/session" }), click(func(*fixture) string { return "/logout" }, "", url.Values{}), false},
		{"password", access.ChangePassword, newPassword, newPasswordForm, false},
		{"short password", access.ChangePassword, short, shortForm, true},
	}
}

// TestTwoFaces runs each operation that leaves a record through the API and through
// the dashboard: it has the same effect, is refused for the same reason, and leaves
// the same record.
func TestTwoFaces(t *testing.T) {
	seen := map[access.Operation]bool{}
	for _, tc := range twoFacedCalls() {
		seen[tc.op] = true
		t.Run(tc.name, func(t *testing.T) {
			one, two := newFixture(t), newFixture(t)
			asked, clicked := tc.api(one), tc.web(two)
			if (asked.status >= 400) != tc.refused || (clicked.status >= 400) != tc.refused {
				t.Fatalf("API: %d %s, dashboard: %d %s", asked.status, asked.body, clicked.status, clicked.body)
			}
			if tc.refused && asked.status != clicked.status {
				t.Errorf("refused with %d and %d", asked.status, clicked.status)
			}
			if says := sentence(asked.detail); tc.op != access.LogIn && !strings.Contains(html.UnescapeString(clicked.body), says) {
				t.Errorf("the API says %q, the dashboard %s", says, clicked.body)
			}
			if a, b := one.records(), two.records(); !reflect.DeepEqual(a, b) || !tc.refused && len(a) == 0 {
				t.Errorf("records differ:\n%+v\n%+v", a, b)
			}
			if a, b := one.effect(), two.effect(); a != b {
				t.Errorf("the effects differ:\n%s\n%s", a, b)
			}
		})
	}
	for op, rule := range access.Operations() {
		brings := op == access.VerifyRelease || op == access.AdoptInstance // which take packages, or a disk: there is no button for them
		if rule.Reason != "" && !seen[op] && !brings {
			t.Errorf("%s is not tried", op)
		}
	}
}

// records returns what both faces should have put on record in the same way.
func (f *fixture) records() []audit.Record {
	f.t.Helper()
	entries, err := f.store.ListAudit(f.t.Context(), store.AuditFilter{}, store.AuditRange{OldestFirst: true})
	must(f.t, err)
	var all []audit.Record
	for _, e := range entries {
		r := e.Record
		if r.Address == "" || r.Time.IsZero() {
			f.t.Errorf("record %+v", r)
		}
		r.Time, r.RequestID, r.Actor = time.Time{}, "", strings.Fields(r.Actor + " nobody")[0] // the ID of each session is its own
		if r.ImageID == f.newImage {
			r.ReleaseID = wire.UUID{}
		}
		if r.Reason == "instance.created" {
			r.InstanceID = wire.UUID{}
		}
		delete(r.Details, "token")
		if r.Reason == "token.revoked" {
			r.Details["token"] = f.token.ID.String()
		}
		all = append(all, r)
	}
	return all
}

// effect describes what there is.
func (f *fixture) effect() string {
	f.t.Helper()
	var b strings.Builder
	images, err := f.store.ListImages(f.t.Context(), store.ImageFilter{})
	must(f.t, err)
	for _, i := range images.Items {
		fmt.Fprintf(&b, "image %s %s %v %t %s %d %v\n", i.ID, i.Name, i.Labels, i.Enabled, i.Policy, i.PolicyRevision, i.Instances)
		releases, err := f.store.ListReleases(f.t.Context(), i.ID)
		must(f.t, err)
		for _, r := range releases {
			fmt.Fprintf(&b, "release %s %s %s %q %s %q %x\n", r.State, r.ApprovedBy, r.DecidedBy, r.Reason, r.Policy, r.Cmdline, r.Kernel.SHA256)
		}
	}
	for _, deleted := range []bool{false, true} {
		instances, err := f.store.ListInstances(f.t.Context(), store.InstanceFilter{Deleted: deleted}, "", 0)
		must(f.t, err)
		for _, i := range instances.Items {
			fmt.Fprintf(&b, "instance %s %t %s %d %d %t\n", i.Name, i.Enabled, i.State, i.Generation, i.Restore, deleted)
		}
	}
	channels, err := f.store.Channels(f.t.Context())
	must(f.t, err)
	for _, c := range channels {
		fmt.Fprintf(&b, "channel %s %s %s\n", c.Name, c.Image, c.Release)
	}
	tokens, err := f.store.ListTokens(f.t.Context(), store.TokenFilter{})
	must(f.t, err)
	for _, token := range tokens.Items {
		fmt.Fprintf(&b, "token %s %s %t\n", token.Name, token.Role, token.RevokedAt.IsZero())
	}
	_, err = f.sessions.Authenticate(f.t.Context(), f.secret)
	fmt.Fprintf(&b, "session %v\n", err)
	return b.String()
}
