package api_test

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// TestRegistrationsRefused has one registration for each thing that can be wrong
// with one. None leaves anything behind.
func TestRegistrationsRefused(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 2048)
	another, err := seal.GenerateKey()
	must(t, err)
	edited := func(edit func(*wire.Registration)) *upload { return w.newUpload("a").change(edit) }
	policy := func(document string) *upload {
		return edited(func(r *wire.Registration) { r.Policy = []byte(document) })
	}
	sealedTo := func(key *seal.PublicKey, secret []byte) *upload {
		u := w.newUpload("a")
		r, _ := u.registration.(wire.Registration)
		sealed, err := key.Seal(wire.UnsealingKeyInfo(r.ImageID), secret)
		must(t, err)
		return u.set("unsealing_key", sealed)
	}
	cases := map[string]struct {
		u    *upload
		code wire.Code
		want string // part of the detail
	}{
		"no image ID":         {edited(func(r *wire.Registration) { r.ImageID = wire.UUID{} }), wire.CodeUnprocessable, "image_id"},
		"no name":             {w.newUpload(""), wire.CodeUnprocessable, "must not be empty"},
		"no vCPUs":            {edited(func(r *wire.Registration) { r.VCPUs = nil }), wire.CodeUnprocessable, "vcpus"},
		"zero vCPUs":          {edited(func(r *wire.Registration) { r.VCPUs = []int{0} }), wire.CodeUnprocessable, "vcpus"},
		"too many vCPUs":      {edited(func(r *wire.Registration) { r.VCPUs = []int{4097} }), wire.CodeUnprocessable, "vcpus"},
		"the same vCPUs":      {edited(func(r *wire.Registration) { r.VCPUs = []int{1, 1} }), wire.CodeUnprocessable, "vcpus"},
		"no type":             {edited(func(r *wire.Registration) { r.VCPUTypes = nil }), wire.CodeUnprocessable, "vcpu_types"},
		"unknown type":        {edited(func(r *wire.Registration) { r.VCPUTypes = []string{"../../x"} }), wire.CodeUnprocessable, "vcpu_types"},
		"the same type":       {edited(func(r *wire.Registration) { r.VCPUTypes = []string{"EPYC", "EPYC"} }), wire.CodeUnprocessable, "twice"},
		"too many variants":   {edited(func(r *wire.Registration) { r.VCPUs = manyCounts(129) }), wire.CodeUnprocessable, "256"},
		"guest policy":        {edited(func(r *wire.Registration) { r.GuestPolicy = "0x10000" }), wire.CodeUnprocessable, "bit 17"},
		"debug":               {edited(func(r *wire.Registration) { r.GuestPolicy = "smt,debug" }), wire.CodeUnprocessable, "allow_debug"},
		"migration agent":     {edited(func(r *wire.Registration) { r.GuestPolicy = "migrate-ma" }), wire.CodeUnprocessable, "allow_migration_agent"},
		"unknown policy":      {policy(`{"version":1,"x":1}`), wire.CodeUnprocessable, `"x"`},
		"other version":       {policy(`{"version":2}`), wire.CodeUnprocessable, "version"},
		"large policy":        {policy(`{"version":1,"signing_keys":["VLEK"],"csp_ids":["` + strings.Repeat("a", 65_536) + `"]}`), wire.CodeUnprocessable, "larger than 64 KiB"},
		"provenance":          {edited(func(r *wire.Registration) { r.Provenance = &wire.Provenance{} }), wire.CodeUnprocessable, "provenance has 0 packages"},
		"label":               {edited(func(r *wire.Registration) { r.Labels = map[string]string{"a b": ""} }), wire.CodeUnprocessable, "label"},
		"unknown field":       {&upload{registration: map[string]any{"colour": "a"}}, wire.CodeMalformed, "colour"},
		"wrong type of field": {&upload{registration: map[string]any{"name": 7}}, wire.CodeMalformed, "name"},
		"image ID of letters": {&upload{registration: map[string]any{"image_id": "x"}}, wire.CodeMalformed, ""},
		"list":                {&upload{registration: []string{"a"}}, wire.CodeMalformed, "object"},

		"no firmware":      {w.newUpload("a").set("firmware", nil), wire.CodeUnprocessable, "firmware is missing"},
		"no kernel":        {w.newUpload("a").set("kernel", nil), wire.CodeUnprocessable, "kernel is missing"},
		"no command line":  {w.newUpload("a").set("cmdline", nil), wire.CodeUnprocessable, "cmdline is missing"},
		"no unsealing key": {w.newUpload("a").set("unsealing_key", nil), wire.CodeUnprocessable, "unsealing_key is missing"},
		"unknown part":     {w.newUpload("a").set("sealed_vmk", []byte("x")), wire.CodeUnprocessable, "sealed_vmk"},
		"kernel twice":     {twice(w.newUpload("a")), wire.CodeUnprocessable, "twice"},
		"empty kernel":     {w.newUpload("a").set("kernel", []byte{}), wire.CodeUnprocessable, "empty"},
		"not a firmware":   {w.newUpload("a").set("firmware", make([]byte, 4096)), wire.CodeUnprocessable, "footer"},
		"half a firmware":  {w.newUpload("a").set("firmware", firmware(t)[2048:]), wire.CodeUnprocessable, "4096"},
		"other firmware":   {w.newUpload("a").set("firmware", otherFirmware(t)), wire.CodeUnprocessable, "AmdSev"},
		"large firmware":   {w.newUpload("a").set("firmware", make([]byte, measure.MaxFirmwareSize+1)), wire.CodeTooLarge, "firmware"},
		"long line":        {w.newUpload("a").set("cmdline", []byte(long)), wire.CodeTooLarge, "cmdline"},
		"very long line":   {w.newUpload("a").set("cmdline", []byte(long+long)), wire.CodeTooLarge, "cmdline"},
		"two lines":        {w.newUpload("a").set("cmdline", []byte("a\nb")), wire.CodeUnprocessable, "cmdline"},
		"NUL":              {w.newUpload("a").set("cmdline", []byte("a\x00b")), wire.CodeUnprocessable, "cmdline"},
		"no text":          {w.newUpload("a").set("cmdline", []byte{0xFF}), wire.CodeUnprocessable, "cmdline"},

		"key of another image":   {w.newUpload("a").set("unsealing_key", w.sealedKey(wire.NewUUID())), wire.CodeUnprocessable, "ingestion key"},
		"key to another service": {sealedTo(another.Public(), make([]byte, 32)), wire.CodeUnprocessable, "ingestion key"},
		"short key":              {sealedTo(w.keys.Ingestion.Public(), make([]byte, 31)), wire.CodeUnprocessable, "private key"},
		"long key":               {sealedTo(w.keys.Ingestion.Public(), make([]byte, 33)), wire.CodeTooLarge, "unsealing_key"},
		"no key":                 {w.newUpload("a").set("unsealing_key", []byte{}), wire.CodeUnprocessable, "ingestion key"},
	}
	for _, field := range []string{
		`"vmpls":[0]`, `"measurements":["` + strings.Repeat("0a", 48) + `"]`, `"id_key_digests":["` + strings.Repeat("0a", 48) + `"]`,
		`"author_key":true`, `"author_key_digests":["` + strings.Repeat("0a", 48) + `"]`, `"family_id":"` + strings.Repeat("0a", 16) + `"`,
		`"image_id":"` + strings.Repeat("0a", 16) + `"`, `"report_data":"` + strings.Repeat("0a", 64) + `"`,
	} {
		name := strings.Trim(strings.Split(field, ":")[0], `"`)
		cases["own field "+name] = struct {
			u    *upload
			code wire.Code
			want string
		}{policy(`{"version":1,` + field + `}`), wire.CodeUnprocessable, "leave " + name + " out"}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if detail := w.register(tc.u, "/v1/images").problem(tc.code); !strings.Contains(detail, tc.want) {
				t.Errorf("detail %q, want %q", detail, tc.want)
			}
			w.nothingLeft(name)
		})
	}
}

func manyCounts(n int) []int {
	counts := make([]int, n)
	for i := range counts {
		counts[i] = i + 1
	}
	return counts
}

func twice(u *upload) *upload {
	u.parts = append(u.parts, part{"kernel", []byte("the other kernel")})
	return u
}
