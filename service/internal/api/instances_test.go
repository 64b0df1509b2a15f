package api_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// named registers an image of that name that has instances.
func (w *world) named(name string, settings wire.InstanceSettings) wire.Registered {
	w.t.Helper()
	return into[wire.Registered](w.register(w.newUpload(name).change(func(r *wire.Registration) { r.Instances = &settings }), "/v1/images").want(201))
}

func namedInstances() wire.InstanceSettings {
	return wire.InstanceSettings{Mode: wire.InstancesNamed, Generation: wire.GenerationReport}
}

// instance creates one.
func (w *world) instance(image wire.UUID, name string) wire.Instance {
	w.t.Helper()
	return into[wire.Instance](w.send("POST", "/v1/instances", wire.RoleAdmin, wire.InstanceCreation{ImageID: image, Name: name}).want(201))
}

// boots changes an instance as its guests do.
func (w *world) boots(of wire.Registered, id wire.UUID, change func(*store.Instance)) {
	w.t.Helper()
	var nonce [32]byte
	rand.Read(nonce[:])
	_, err := w.store.RecordInstanceCall(w.t.Context(), store.InstanceCall{
		Nonce: store.Nonce{Hash: nonce, Expires: w.clock.Now().Add(time.Minute)}, Instance: id, Release: of.Release.ID,
		Decide: func(facts store.InstanceFacts) (store.Instance, audit.Record) {
			i := *facts.Instance
			change(&i)
			return i, audit.Record{Outcome: audit.OutcomeDone, Reason: "instance_ready", ImageID: of.Image.ID, RequestID: "test"}
		},
	})
	must(w.t, err)
}

// ready has an instance claimed and made ready at generation 5.
func (w *world) ready(of wire.Registered, id wire.UUID, sealed [32]byte) {
	w.t.Helper()
	w.boots(of, id, func(i *store.Instance) { i.State, i.Sealed = wire.StateClaimed, sealed })
	w.boots(of, id, func(i *store.Instance) {
		i.State, i.Generation, i.ReadyAt, i.Recovery = wire.StateReady, 5, w.clock.Now(), []byte("age-encryption.org/v1\n")
		i.Committed = store.Boot{ReportID: sealed, BootKey: sealed, Release: of.Release.ID, Generation: 5, At: w.clock.Now()}
	})
}

func TestInstances(t *testing.T) {
	w := newWorld(t)
	image := w.named("debian-13", namedInstances())
	if image.Image.Instances != namedInstances() {
		t.Errorf("image %+v", image.Image)
	}
	if r := w.lastAudit(); r.Details["instances"] != "named, generation report" {
		t.Errorf("recorded %+v", r)
	}
	made := w.instance(image.Image.ID, "web-1")
	hostData := wire.HostData(made.ID)
	if made.Name != "web-1" || made.ImageID != image.Image.ID || made.ImageName != "debian-13" || made.State != wire.StateNew || !made.Enabled ||
		made.HostData != hex.EncodeToString(hostData[:]) || made.Sealed != "" || made.Recovery || made.DeletedAt != nil || made.Auto {
		t.Errorf("created %+v", made)
	}
	if r := w.lastAudit(); r.Reason != "instance.created" || r.InstanceID != made.ID.String() || r.ImageID != image.Image.ID.String() || r.Details["name"] != "web-1" {
		t.Errorf("recorded %+v", r)
	}
	path := "/v1/instances/" + made.ID.String()
	patched := into[wire.Instance](w.send("PATCH", path, wire.RoleAdmin, wire.InstancePatch{Enabled: new(bool)}).want(200))
	if r := w.lastAudit(); patched.Enabled || r.Reason != "instance.changed" || r.Details["enabled"] != "false" || r.InstanceID != made.ID.String() {
		t.Errorf("patched %+v, recorded %+v", patched, r)
	}
	sealed := sha256.Sum256([]byte("sealed"))
	w.send("GET", path+"/recovery", wire.RoleAdmin, nil).problem(wire.CodeUnprocessable)
	w.ready(image, made.ID, sealed)
	shown := into[wire.Instance](w.get(path, wire.RoleRead).want(200))
	if shown.State != wire.StateReady || shown.Generation != 5 || !shown.Recovery || shown.Sealed != hex.EncodeToString(sealed[:]) || shown.ReadyAt == nil || shown.BootedAt == nil {
		t.Errorf("shown %+v", shown)
	}
	allowed := into[wire.Instance](w.send("POST", path+"/allow-restore", wire.RoleAdmin, wire.RestoreAllowance{Generation: 4}).want(200))
	if r := w.lastAudit(); allowed.Restore == nil || allowed.Restore.Generation != 4 || !allowed.Restore.Until.Equal(w.clock.Now().Add(time.Hour)) || r.Reason != "instance.restore_allowed" || r.Details["generation"] != "4" {
		t.Errorf("allowed %+v, recorded %+v", allowed.Restore, r)
	}
	before := w.lastAudit().Seq
	recovery := w.send("GET", path+"/recovery", wire.RoleAdmin, nil).want(200)
	if r := w.lastAudit(); string(recovery.body) != "age-encryption.org/v1\n" || r.Reason != "instance.recovery_read" || r.InstanceID != made.ID.String() || r.Seq != before+1 {
		t.Errorf("recovery %q, recorded %+v", recovery.body, r)
	}
	again := into[wire.Instance](w.send("POST", path+"/reset", wire.RoleAdmin, nil).want(200))
	if r := w.lastAudit(); again.State != wire.StateNew || again.Generation != 0 || again.Recovery || again.Restore != nil || r.Reason != "instance.reset" || r.Details["was"] != "ready" {
		t.Errorf("reset %+v, recorded %+v", again, r)
	}
	list := into[wire.AuditList](w.get("/v1/audit?instance="+made.ID.String(), wire.RoleRead).want(200))
	if len(list.Records) != 7 {
		t.Errorf("%d records of the instance", len(list.Records))
	}
}

// TestInstanceList filters and pages.
func TestInstanceList(t *testing.T) {
	w := newWorld(t)
	one, two := w.named("one", namedInstances()), w.named("two", wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 5, Generation: wire.GenerationEnforce})
	for _, name := range []string{"web-1", "web-2", "db-1"} {
		w.instance(one.Image.ID, name)
		w.clock.Advance(time.Second)
	}
	last := w.instance(two.Image.ID, "web-3")
	w.ready(two, last.ID, sha256.Sum256(nil))
	w.send("DELETE", "/v1/instances/"+into[wire.InstanceList](w.get("/v1/instances?search=db", wire.RoleRead)).Instances[0].ID.String(), wire.RoleAdmin, nil).want(204)
	for query, want := range map[string]string{
		"": "web-3 web-2 web-1", "limit=1": "web-3 web-2 web-1", "image=" + one.Image.ID.String(): "web-2 web-1", "state=ready": "web-3", "state=new": "web-2 web-1",
		"search=b-2": "web-2", "deleted=true": "db-1", "deleted=false": "web-3 web-2 web-1", "search=none": "", "image=" + two.Image.ID.String() + "&state=claimed": "",
	} {
		var got []string
		for cursor := "start"; cursor != ""; {
			list := into[wire.InstanceList](w.get("/v1/instances?"+query+"&cursor="+strings.TrimPrefix(cursor, "start"), wire.RoleRead).want(200))
			for _, i := range list.Instances {
				got = append(got, i.Name)
				if i.Recovery != (i.State == wire.StateReady) || i.ImageName != "one" && i.Name != "web-3" {
					t.Errorf("listed %+v", i)
				}
			}
			cursor = list.Next
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"image=web", "state=none", "deleted=yes", "cursor=x", "limit=0", "name=x", "state=new&state=ready"} {
		w.get("/v1/instances?"+query, wire.RoleRead).problem(wire.CodeMalformed)
	}
}

// TestInstancesRefused asks for what cannot be done.
func TestInstancesRefused(t *testing.T) {
	w := newWorld(t)
	none, image := w.registered("none"), w.named("debian-13", namedInstances())
	made := w.instance(image.Image.ID, "web-1")
	path, before := "/v1/instances/"+made.ID.String(), w.lastAudit().Seq
	for _, tc := range []struct {
		method, path, body string
		code               wire.Code
	}{
		{"POST", "/v1/instances", `{"image_id":"` + image.Image.ID.String() + `","name":"Web"}`, wire.CodeUnprocessable},
		{"POST", "/v1/instances", `{"image_id":"` + image.Image.ID.String() + `","name":"` + made.ID.String() + `"}`, wire.CodeUnprocessable},
		{"POST", "/v1/instances", `{"image_id":"` + image.Image.ID.String() + `","name":""}`, wire.CodeUnprocessable},
		{"POST", "/v1/instances", `{"image_id":"` + image.Image.ID.String() + `","name":"web-1"}`, wire.CodeConflict},
		{"POST", "/v1/instances", `{"image_id":"` + none.Image.ID.String() + `","name":"web-2"}`, wire.CodeConflict},
		{"POST", "/v1/instances", `{"image_id":"` + made.ID.String() + `","name":"web-2"}`, wire.CodeNotFound},
		{"POST", "/v1/instances", `{"image_id":"x","name":"web-2"}`, wire.CodeMalformed},
		{"PATCH", path, `{}`, wire.CodeUnprocessable},
		{"PATCH", path, `{"enabled":1}`, wire.CodeMalformed},
		{"POST", path + "/allow-restore", `{"generation":1}`, wire.CodeUnprocessable}, // it is new
		{"POST", path + "/allow-restore", `{"generation":-1}`, wire.CodeMalformed},
		{"POST", path + "/undelete", "", wire.CodeUnprocessable},
		{"POST", path + "/adopt", `{}`, wire.CodeUnprocessable},
		{"PATCH", "/v1/images/" + image.Image.ID.String(), `{"instances":{"mode":"none","limit":0,"generation":"report"}}`, wire.CodeConflict},
		{"PATCH", "/v1/images/" + image.Image.ID.String(), `{"instances":{"mode":"all","limit":0,"generation":"report"}}`, wire.CodeUnprocessable},
		{"PATCH", "/v1/images/" + image.Image.ID.String(), `{"instances":{"mode":"auto","limit":0,"generation":"report"}}`, wire.CodeUnprocessable},
		{"PATCH", "/v1/images/" + image.Image.ID.String(), `{"instances":{"mode":"named","limit":1,"generation":"report"}}`, wire.CodeUnprocessable},
		{"PATCH", "/v1/images/" + image.Image.ID.String(), `{"instances":{"mode":"named","limit":0,"generation":"deny"}}`, wire.CodeUnprocessable},
	} {
		c := call{method: tc.method, path: tc.path, token: w.tokens[wire.RoleAdmin]}
		if tc.body != "" {
			c.contentType, c.body = "application/json", []byte(tc.body)
		}
		if detail := w.do(c).problem(tc.code); detail == "" && tc.code != wire.CodeNotFound {
			t.Errorf("%s %s %s: it is not said why", tc.method, tc.path, tc.body)
		}
	}
	w.ready(image, made.ID, sha256.Sum256(nil))
	for _, generation := range []uint64{0, 5, 6} {
		w.send("POST", path+"/allow-restore", wire.RoleAdmin, wire.RestoreAllowance{Generation: generation}).problem(wire.CodeUnprocessable)
	}
	if seq := w.lastAudit().Seq; seq != before+2 {
		t.Errorf("%d records of what was refused", seq-before-2)
	}
	for _, tc := range []struct{ method, path string }{
		{"GET", ""}, {"DELETE", ""}, {"POST", "/reset"}, {"POST", "/undelete"}, {"GET", "/recovery"},
	} {
		w.send(tc.method, "/v1/instances/"+wire.NewUUID().String()+tc.path, wire.RoleAdmin, nil).problem(wire.CodeNotFound)
		w.send(tc.method, "/v1/instances/web-1"+tc.path, wire.RoleAdmin, nil).problem(wire.CodeNotFound)
		if tc.method+tc.path != "GET" {
			w.send(tc.method, path+tc.path, wire.RoleApprove, nil).problem(wire.CodeForbidden)
		}
	}
}

// TestInstanceSettings switches an image between the modes while it may be, and no more
// once it has instances.
func TestInstanceSettings(t *testing.T) {
	w := newWorld(t)
	image := w.registered("debian-13")
	path := "/v1/images/" + image.Image.ID.String()
	if want := (wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationReport}); image.Image.Instances != want {
		t.Errorf("by default %+v", image.Image.Instances)
	}
	for _, s := range []wire.InstanceSettings{
		{Mode: wire.InstancesNamed, Generation: wire.GenerationEnforce}, {Mode: wire.InstancesNone, Generation: wire.GenerationReport},
		{Mode: wire.InstancesAuto, Limit: 7, Generation: wire.GenerationReport},
	} {
		if got := into[wire.Image](w.send("PATCH", path, wire.RoleAdmin, wire.ImagePatch{Instances: &s}).want(200)); got.Instances != s {
			t.Errorf("got %+v, want %+v", got.Instances, s)
		}
	}
	if r := w.lastAudit(); r.Reason != "image.changed" || r.Details["instances"] != "auto, up to 7, generation report" {
		t.Errorf("recorded %+v", r)
	}
	other := w.newUpload("other").change(func(r *wire.Registration) { r.ImageID, r.Instances = image.Image.ID, &wire.InstanceSettings{} })
	w.register(other, path+"/releases").problem(wire.CodeUnprocessable)
	w.register(w.newUpload("bad").change(func(r *wire.Registration) { r.Instances = &wire.InstanceSettings{Mode: "auto"} }), "/v1/images").problem(wire.CodeUnprocessable)
}

// TestDeletedInstance deletes an instance: nothing can be done with it but to take that
// back, for a day.
func TestDeletedInstance(t *testing.T) {
	w := newWorld(t)
	image := w.named("debian-13", namedInstances())
	made := w.instance(image.Image.ID, "web-1")
	path := "/v1/instances/" + made.ID.String()
	w.send("DELETE", path, wire.RoleAdmin, nil).want(204)
	if r := w.lastAudit(); r.Reason != "instance.deleted" || r.Details["name"] != "web-1" || r.InstanceID != made.ID.String() {
		t.Errorf("recorded %+v", r)
	}
	shown := into[wire.Instance](w.get(path, wire.RoleRead).want(200))
	if shown.DeletedAt == nil || shown.GoneAt == nil || shown.GoneAt.Sub(*shown.DeletedAt) != 24*time.Hour {
		t.Errorf("shown %+v", shown)
	}
	w.send("DELETE", path, wire.RoleAdmin, nil).problem(wire.CodeUnprocessable)
	w.send("POST", path+"/reset", wire.RoleAdmin, nil).problem(wire.CodeUnprocessable)
	w.send("PATCH", path, wire.RoleAdmin, wire.InstancePatch{Enabled: new(bool)}).problem(wire.CodeUnprocessable)
	w.send("POST", "/v1/instances", wire.RoleAdmin, wire.InstanceCreation{ImageID: image.Image.ID, Name: "web-1"}).problem(wire.CodeConflict)
	back := into[wire.Instance](w.send("POST", path+"/undelete", wire.RoleAdmin, nil).want(200))
	if r := w.lastAudit(); back.DeletedAt != nil || back.GoneAt != nil || r.Reason != "instance.undeleted" {
		t.Errorf("back %+v, recorded %+v", back, r)
	}
	w.send("DELETE", path, wire.RoleAdmin, nil).want(204)
	w.clock.Advance(24 * time.Hour)
	w.send("POST", path+"/undelete", wire.RoleAdmin, nil).problem(wire.CodeConflict)
}

// TestAdopt shows receipts to a service that has forgotten the claim: its own, and those
// that it must not take.
func TestAdopt(t *testing.T) {
	w := newWorld(t)
	image := w.named("debian-13", namedInstances())
	made, other := w.instance(image.Image.ID, "web-1"), w.instance(image.Image.ID, "web-2")
	path, sealed := "/v1/instances/"+made.ID.String(), sha256.Sum256([]byte("sealed"))
	_, stranger, err := ed25519.GenerateKey(nil)
	must(t, err)
	genuine := ed25519.Sign(w.keys.Identity, wire.ReceiptTranscript(image.Image.ID, made.ID, sealed))
	for name, receipt := range map[string][]byte{
		"a stranger's":        ed25519.Sign(stranger, wire.ReceiptTranscript(image.Image.ID, made.ID, sealed)),
		"another instance's":  ed25519.Sign(w.keys.Identity, wire.ReceiptTranscript(image.Image.ID, other.ID, sealed)),
		"another image's":     ed25519.Sign(w.keys.Identity, wire.ReceiptTranscript(other.ID, made.ID, sealed)),
		"another secret's":    ed25519.Sign(w.keys.Identity, wire.ReceiptTranscript(image.Image.ID, made.ID, sha256.Sum256(nil))),
		"nothing":             make([]byte, 64),
		"too short":           genuine[:63],
		"too long":            append(bytes.Clone(genuine), 0),
		"changed by one bit":  append(bytes.Clone(genuine[:63]), genuine[63]^1),
		"an answer to a call": ed25519.Sign(w.keys.Identity, wire.AnswerTranscript(wire.CallClaim, [64]byte{}, sealed[:])),
	} {
		w.send("POST", path+"/adopt", wire.RoleAdmin, wire.InstanceAdoption{Sealed: sealed[:], Receipt: receipt}).problem(wire.CodeUnprocessable)
		if got := into[wire.Instance](w.get(path, wire.RoleRead)); got.State != wire.StateNew {
			t.Fatalf("%s receipt is taken: %+v", name, got)
		}
	}
	w.send("POST", path+"/adopt", wire.RoleApprove, wire.InstanceAdoption{Sealed: sealed[:], Receipt: genuine}).problem(wire.CodeForbidden)
	adopted := into[wire.Instance](w.send("POST", path+"/adopt", wire.RoleAdmin, wire.InstanceAdoption{Sealed: sealed[:], Receipt: genuine}).want(200))
	if r := w.lastAudit(); adopted.State != wire.StateClaimed || adopted.Sealed != hex.EncodeToString(sealed[:]) || r.Reason != "instance.adopted" || r.Details["sealed_sha256"] != adopted.Sealed {
		t.Errorf("adopted %+v, recorded %+v", adopted, r)
	}
	w.send("POST", path+"/adopt", wire.RoleAdmin, wire.InstanceAdoption{Sealed: sealed[:], Receipt: genuine}).problem(wire.CodeUnprocessable)
	// The disk was given up by a reset: its receipt is genuine for ever, and of no use.
	w.send("POST", path+"/reset", wire.RoleAdmin, nil).want(200)
	if detail := w.send("POST", path+"/adopt", wire.RoleAdmin, wire.InstanceAdoption{Sealed: sealed[:], Receipt: genuine}).problem(wire.CodeUnprocessable); !strings.Contains(detail, "before it was reset") {
		t.Error(detail)
	}
}
