package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// writeRecords writes n records, a minute apart; every third is a denied unlock
// of an image and a chip, with a report.
func (w *world) writeRecords(n int) {
	w.t.Helper()
	for i := range n {
		r := audit.Record{Outcome: audit.OutcomeDone, Reason: "token.created", RequestID: fmt.Sprint("request ", i), Address: "192.0.2.1", Actor: "token x"}
		var err error
		if i%3 == 2 {
			r = audit.Record{
				Reason: "vmpl", Rule: "vmpl", Expected: "0", Found: "1", RequestID: fmt.Sprint("request ", i), Address: "192.0.2.2",
				ImageID: wire.UUID{1}, ReleaseID: wire.UUID{2}, ChipID: bytes.Repeat([]byte{0xAB}, 64), TCB: "fmc 1", Report: make([]byte, 1184),
			}
			_, err = unlock.Record{Audit: r}.Write(w.t.Context(), w.store)
		} else {
			_, err = w.store.RecordAdmin(w.t.Context(), r)
		}
		must(w.t, err)
		w.clock.Advance(minute)
	}
}

// pages returns the numbers of all records, page by page.
func (w *world) pages(query string) string {
	w.t.Helper()
	var got []string
	for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
		path := "/v1/audit?" + query
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		list := into[wire.AuditList](w.get(path, wire.RoleRead).want(200))
		for _, r := range list.Records {
			got = append(got, fmt.Sprint(r.Seq))
		}
		cursor = list.Next
	}
	return strings.Join(got, " ")
}

func TestListAudit(t *testing.T) {
	w := newWorld(t)
	start := w.clock.Now()
	w.writeRecords(10)
	at := func(minutes int) string {
		return url.QueryEscape(start.Add(time.Duration(minutes) * minute).Format(time.RFC3339))
	}
	for query, want := range map[string]string{
		"": "10 9 8 7 6 5 4 3 2 1", "limit=4": "10 9 8 7 6 5 4 3 2 1", "limit=5&order=newest": "10 9 8 7 6 5 4 3 2 1",
		"order=oldest&limit=3": "1 2 3 4 5 6 7 8 9 10", "order=oldest&limit=10": "1 2 3 4 5 6 7 8 9 10",
		"kind=unlock": "9 6 3", "kind=unlock&limit=1&order=oldest": "3 6 9", "outcome=denied": "9 6 3", "outcome=granted": "", "kind=admin&limit=2": "10 8 7 5 4 2 1",
		"reason=vmpl": "9 6 3", "request_id=request+4": "5", "image_id=" + wire.UUID{1}.String(): "9 6 3", "image_id=" + wire.UUID{7}.String(): "",
		"chip_id=" + strings.Repeat("ab", 64): "9 6 3", "chip_id=" + strings.Repeat("AB", 64): "9 6 3", "chip_id=00": "",
		"since=" + at(7): "10 9 8", "until=" + at(2): "2 1", "since=" + at(3) + "&until=" + at(6) + "&order=oldest": "4 5 6",
	} {
		if got := w.pages(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	record := into[wire.AuditList](w.get("/v1/audit?reason=vmpl&limit=1", wire.RoleRead)).Records[0]
	if record.Rule != "vmpl" || record.Expected != "0" || record.Found != "1" || record.ImageID != (wire.UUID{1}).String() || len(record.Report) != 1184 || record.TCB != "fmc 1" {
		t.Errorf("record %+v", record)
	}
}

// TestAuditHashes follows the chain through pages that have holes.
func TestAuditHashes(t *testing.T) {
	w := newWorld(t)
	w.writeRecords(9)
	hashes := make(map[int64]string)
	for _, r := range into[wire.AuditList](w.get("/v1/audit", wire.RoleRead)).Records {
		hashes[r.Seq] = r.Hash
	}
	hashes[0] = strings.Repeat("00", 32)
	for _, query := range []string{"", "limit=2", "kind=unlock", "kind=admin&order=oldest", "order=oldest&limit=4"} {
		for _, r := range into[wire.AuditList](w.get("/v1/audit?"+query, wire.RoleRead)).Records {
			if r.PrevHash != hashes[r.Seq-1] || r.Hash != hashes[r.Seq] {
				t.Errorf("%s: record %d follows %s, want %s", query, r.Seq, r.PrevHash, hashes[r.Seq-1])
			}
		}
	}
}

// TestFollowAudit waits for records that are written meanwhile.
func TestFollowAudit(t *testing.T) {
	w := newWorld(t)
	w.writeRecords(3)
	follow := func(cursor string, wait int) wire.AuditList {
		return into[wire.AuditList](w.get(fmt.Sprintf("/v1/audit?order=oldest&wait=%d&cursor=%s", wait, cursor), wire.RoleRead).want(200))
	}
	go func() {
		time.Sleep(200 * time.Millisecond)
		w.writeRecords(1)
	}()
	list := follow("", 30)
	if len(list.Records) != 1 || list.Records[0].Seq != 4 || list.Next == "" {
		t.Fatalf("got %+v", list)
	}
	if nothing := follow(list.Next, 1); len(nothing.Records) != 0 || nothing.Next != list.Next {
		t.Errorf("got %+v", nothing)
	}
	w.writeRecords(2)
	if list = follow(list.Next, 30); len(list.Records) != 2 || list.Records[0].Seq != 5 {
		t.Errorf("got %+v", list)
	}
	if list = follow("after-0", 30); len(list.Records) != 6 {
		t.Errorf("from the beginning: got %d records", len(list.Records))
	}
}

func TestTooManyFollowers(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Accounts.Gate.Limits[access.Followers] = access.Places{} })
	w.get("/v1/audit?order=oldest&wait=1", wire.RoleRead).want(503).problem(wire.CodeUnavailable)
	w.get("/v1/audit?order=oldest", wire.RoleRead).want(200)
}

// TestExportAudit computes the chain again from what was exported.
func TestExportAudit(t *testing.T) {
	w := newWorld(t)
	w.writeRecords(store.MaxPage + 7) // more than the service reads at a time
	lines := bytes.Split(bytes.TrimSpace(w.get("/v1/audit/export", wire.RoleRead).want(200).body), []byte("\n"))
	if len(lines) != store.MaxPage+7 {
		t.Fatalf("%d lines", len(lines))
	}
	var previous [32]byte
	for i, line := range lines {
		var r wire.AuditRecord
		must(t, json.Unmarshal(line, &r))
		if r.Seq != int64(i+1) || r.PrevHash != hex.EncodeToString(previous[:]) {
			t.Fatalf("line %d: record %d follows %s", i+1, r.Seq, r.PrevHash)
		}
		sum := sha256.New()
		for _, field := range [][]byte{[]byte("snpguard/v1/audit"), previous[:], binary.BigEndian.AppendUint64(nil, uint64(r.Seq)), r.Body} {
			sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(field))))
			sum.Write(field)
		}
		if previous = [32]byte(sum.Sum(nil)); hex.EncodeToString(previous[:]) != r.Hash {
			t.Fatalf("record %d has another hash", r.Seq)
		}
	}
	filtered := bytes.Count(w.get("/v1/audit/export?kind=unlock", wire.RoleRead).want(200).body, []byte("\n"))
	if want := (store.MaxPage + 7) / 3; filtered != want {
		t.Errorf("%d unlocks, want %d", filtered, want)
	}
}

func TestVerifyAudit(t *testing.T) {
	w := newWorld(t)
	verify := func(head any) wire.AuditVerification {
		t.Helper()
		return into[wire.AuditVerification](w.send("POST", "/v1/audit/verify", wire.RoleRead, head).want(200))
	}
	if v := verify(nil); !v.Valid || v.Records != 0 {
		t.Errorf("empty log: %+v", v)
	}
	w.writeRecords(5)
	kept := verify(nil).Head
	w.writeRecords(5)
	if v := verify(kept); !v.Valid || v.Records != 10 || v.Head.Seq != 10 || v.Head.Hash != w.lastAudit().Hash {
		t.Errorf("whole log: %+v", v)
	}
	if v := verify(wire.AuditHead{Seq: 5, Hash: strings.Repeat("0a", 32)}); v.Valid || v.Broken != 5 || !strings.Contains(v.Problem, "anchor") {
		t.Errorf("rewritten log: %+v", v)
	}
	if v := verify(wire.AuditHead{Seq: 11, Hash: kept.Hash}); v.Valid || v.Broken != 11 {
		t.Errorf("cut log: %+v", v)
	}
	if v := verify(wire.AuditHead{Seq: 1 << 60, Hash: kept.Hash}); v.Valid || v.Records != 10 || v.Head.Seq != 10 {
		t.Errorf("head from nowhere: %+v", v)
	}
	for _, head := range []any{
		wire.AuditHead{}, wire.AuditHead{Seq: -1, Hash: kept.Hash}, wire.AuditHead{Seq: 1, Hash: kept.Hash[2:]},
		wire.AuditHead{Seq: 1, Hash: "x" + kept.Hash[1:]}, map[string]int{"sequence": 1},
	} {
		w.send("POST", "/v1/audit/verify", wire.RoleRead, head).problem(wire.CodeMalformed)
	}
	if _, err := w.db.Raw(t).ExecContext(t.Context(), `UPDATE audit SET body = $1 WHERE seq = 7`, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if v := verify(nil); v.Valid || v.Broken != 7 || v.Records != 6 || v.Problem == "" {
		t.Errorf("changed log: %+v", v)
	}
}
