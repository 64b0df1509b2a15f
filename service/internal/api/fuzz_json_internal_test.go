package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// requests returns an empty one of every request in JSON.
func requests() []any {
	return []any{
		&wire.UnlockRequest{}, &wire.Registration{}, &wire.ImagePatch{}, &wire.ReleasePatch{}, &wire.TokenRequest{},
		&wire.Approval{}, &wire.Rejection{}, &wire.Retirement{}, &wire.Restoration{}, &wire.Verification{}, &wire.ChannelChange{},
		&wire.InstanceCreation{}, &wire.InstancePatch{}, &wire.InstanceAdoption{}, &wire.RestoreAllowance{},
		&wire.Login{}, &wire.PasswordChange{}, &wire.AuditHead{},
		&wire.GuestCall{}, &wire.UpdateRequest{}, &wire.ConfirmRequest{}, &wire.BundleRequest{},
	}
}

// namesIn returns the names at the top of a JSON object, repeated ones too.
func namesIn(tb testing.TB, body []byte) (names []string) {
	tb.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		tb.Fatal(err)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			tb.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			tb.Fatal(err)
		}
		names = append(names, name.(string))
	}
	return names
}

// FuzzJSONRequests decodes a body as every request. What is taken has the names
// that the request's fields have, letter for letter, each once, and means the same
// in another order.
func FuzzJSONRequests(f *testing.F) {
	for _, body := range []string{
		`{"password":"a"}`, `{"password":"a","password":"b"}`, `{"PassWord":"a"}`, `{"pa\u017fsword":"a"}`, `{"current":"a","new":"b"}`,
		`{"name":"a","role":"read","expires_in":1}`, `{"seq":1,"hash":"00"}`, `{"enabled":null,"labels":{"a":"b","a":"c"}}`,
		`{"policy":{"version":1,"version":1},"revision":1}`, `{"image_id":"00112233-4455-6677-8899-aabbccddeeff","vcpus":[1],"policy":null}`,
		`{"nonce":"AA==","report":null,"sealed_vm\u212a":""}`, `{"name":"a"} {}`, `[]`, `{"labels":{}}`,
		`{"machine":"00112233-4455-6677-8899-aabbccddeeff","running":"6.12.1","kernels":[{"release":"6.12.2","sha256":"00","modules":true}]}`,
		`{"image_id":"00112233-4455-6677-8899-aabbccddeeff","name":"web-1"}`, `{"enabled":false}`, `{"sealed":"AA==","receipt":"AA=="}`, `{"generation":41}`,
		`{"instances":{"mode":"auto","limit":5,"generation":"enforce"}}`,
		`{"report":"AA==","nonce":"AA==","body":"e30="}`, `{"ticket":"AA=="}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, request := range requests() {
			if err := decodeJSON(body, request); err != nil {
				if classify(err).code != wire.CodeMalformed {
					t.Errorf("%T: %v", request, err)
				}
				continue
			}
			names := namesIn(t, body)
			fields := reflect.TypeOf(request).Elem()
			for i, name := range names {
				tagged := slices.ContainsFunc(reflect.VisibleFields(fields), func(f reflect.StructField) bool {
					tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
					return tag == name
				})
				if !tagged || slices.Contains(names[:i], name) {
					t.Errorf("%T took the names %q", request, names)
				}
			}
			sorted := sortNames(t, body)
			again := reflect.New(fields).Interface()
			if err := decodeJSON(sorted, again); err != nil || !reflect.DeepEqual(compact(t, request), compact(t, again)) {
				t.Errorf("%s became %+v, %s became %+v, %v", body, request, sorted, again, err)
			}
		}
	})
}

// sortNames writes an object anew, the last of equal names kept.
func sortNames(tb testing.TB, body []byte) []byte {
	tb.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var generic map[string]any
	if err := dec.Decode(&generic); err != nil {
		tb.Fatal(err)
	}
	sorted, err := json.Marshal(generic)
	if err != nil {
		tb.Fatal(err)
	}
	return sorted
}

// compact encodes a request so that the same meaning is the same text.
func compact(tb testing.TB, request any) string {
	tb.Helper()
	data, err := json.Marshal(request)
	if err != nil {
		tb.Fatal(err)
	}
	return string(sortNames(tb, data))
}
