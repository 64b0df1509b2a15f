package storetest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// chain writes so many records and returns them.
func chain(t *testing.T, s *store.Store, length int) []audit.Entry {
	t.Helper()
	var entries []audit.Entry
	for n := range length {
		r := fullRecord()
		r.RequestID = "req-" + string(rune('A'+n%26))
		entries = append(entries, recordAll(t, s, r)...)
	}
	return entries
}

func testVerify(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head != (audit.Head{}) {
		t.Errorf("empty log: got %s, %v", head, err)
	}
	const length = 450 // more than two pages
	d.exec(t, q(`CREATE TABLE unrelated (x BIGINT)`)...)
	var last audit.Entry
	for range length / 50 {
		last = atOnce(t, s, 50)
	}
	head, err := s.AuditHead(t.Context())
	if err != nil || head != (audit.Head{Seq: length, Hash: last.Hash}) {
		t.Fatalf("got %s, %v, want %d:%x", head, err, length, last.Hash)
	}
	for _, from := range []int64{1, 2, 200, 201, length, length + 1} {
		var steps []int64
		got, err := s.VerifyAudit(t.Context(), from, func(seq int64) { steps = append(steps, seq) })
		if err != nil || got != head {
			t.Errorf("from %d: got %s, %v", from, got, err)
		}
		if from == 1 && !slices.Equal(steps, []int64{200, 400, length}) {
			t.Errorf("progress %v", steps)
		}
	}
	for _, from := range []int64{-1, 0, length + 2} {
		if _, err := s.VerifyAudit(t.Context(), from, nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("from %d: got %v", from, err)
		}
	}
	for _, text := range []string{head.String(), "0:" + strings.Repeat("0", 64)} {
		anchor, err := audit.ParseHead(text)
		if err != nil || s.VerifyAuditAgainst(t.Context(), anchor) != nil {
			t.Errorf("%s: got %v, %v", text, err, s.VerifyAuditAgainst(t.Context(), anchor))
		}
	}
	for _, text := range []string{"", "1", "1:", "1:zz", "x:" + strings.Repeat("0", 64), "+1:" + strings.Repeat("0", 64), "1:" + strings.Repeat("0", 66)} {
		if _, err := audit.ParseHead(text); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// testTampering breaks a log of six records in each way. The first broken record
// is named, with how it is broken.
func testTampering(t *testing.T, d Database) {
	s := d.Open(t)
	entries := chain(t, s, 6)
	other := []byte(strings.Replace(string(entries[2].Body), "measurement", "Measurement", 1))
	for name, tc := range map[string]struct {
		break1, mend []query
		seq          int64
		fault        audit.Fault
	}{
		"body":       {q(`UPDATE audit SET body = $1 WHERE seq = 3`, other), q(`UPDATE audit SET body = $1 WHERE seq = 3`, entries[2].Body), 3, audit.FaultChanged},
		"empty body": {q(`UPDATE audit SET body = $1 WHERE seq = 3`, []byte{}), q(`UPDATE audit SET body = $1 WHERE seq = 3`, entries[2].Body), 3, audit.FaultChanged},
		"huge body": {
			q(`UPDATE audit SET body = $1 WHERE seq = 3`, make([]byte, 1<<20)),
			q(`UPDATE audit SET body = $1 WHERE seq = 3`, entries[2].Body), 3, audit.FaultChanged,
		},
		"hash":       {q(`UPDATE audit SET hash = $1 WHERE seq = 3`, make([]byte, 32)), q(`UPDATE audit SET hash = $1 WHERE seq = 3`, entries[2].Hash[:]), 3, audit.FaultChanged},
		"short hash": {q(`UPDATE audit SET hash = $1 WHERE seq = 3`, make([]byte, 31)), q(`UPDATE audit SET hash = $1 WHERE seq = 3`, entries[2].Hash[:]), 3, audit.FaultChanged},
		"missing":    {q(`UPDATE audit SET seq = 99 WHERE seq = 3`), q(`UPDATE audit SET seq = 3 WHERE seq = 99`), 7, audit.FaultAdded},
		"gap":        {q(`UPDATE audit SET seq = -3 WHERE seq = 3`), q(`UPDATE audit SET seq = 3 WHERE seq = -3`), 3, audit.FaultMissing},
		"first gone": {q(`UPDATE audit SET seq = -1 WHERE seq = 1`), q(`UPDATE audit SET seq = 1 WHERE seq = -1`), 1, audit.FaultMissing},
		"last gone":  {q(`UPDATE audit SET seq = -6 WHERE seq = 6`), q(`UPDATE audit SET seq = 6 WHERE seq = -6`), 6, audit.FaultMissing},
		"moved":      {q(`UPDATE audit SET seq = seq - 10 WHERE seq IN (3, 6)`), q(`UPDATE audit SET seq = seq + 10 WHERE seq < 0`), 3, audit.FaultMissing},
		"swapped":    {swap(), swap(), 3, audit.FaultReordered},
		"head":       {q(`UPDATE audit_head SET hash = $1`, make([]byte, 32)), q(`UPDATE audit_head SET hash = $1`, entries[5].Hash[:]), 6, audit.FaultHead},
		"head back":  {q(`UPDATE audit_head SET seq = 5, hash = $1`, entries[4].Hash[:]), q(`UPDATE audit_head SET seq = 6, hash = $1`, entries[5].Hash[:]), 6, audit.FaultAdded},
		"time":       {q(`UPDATE audit SET recorded_at = recorded_at + 1 WHERE seq = 2`), q(`UPDATE audit SET recorded_at = recorded_at - 1 WHERE seq = 2`), 2, audit.FaultColumn},
		"kind":       {q(`UPDATE audit SET kind = 'unlock' WHERE seq = 2`), q(`UPDATE audit SET kind = 'admin' WHERE seq = 2`), 2, audit.FaultColumn},
		"outcome":    {q(`UPDATE audit SET outcome = 'granted' WHERE seq = 2`), q(`UPDATE audit SET outcome = 'denied' WHERE seq = 2`), 2, audit.FaultColumn},
		"reason":     {q(`UPDATE audit SET reason = '' WHERE seq = 2`), q(`UPDATE audit SET reason = 'measurement' WHERE seq = 2`), 2, audit.FaultColumn},
		"request ID": {q(`UPDATE audit SET request_id = '' WHERE seq = 2`), q(`UPDATE audit SET request_id = 'req-B' WHERE seq = 2`), 2, audit.FaultColumn},
		"image":      {q(`UPDATE audit SET image_id = NULL WHERE seq = 2`), q(`UPDATE audit SET image_id = $1 WHERE seq = 2`, entries[1].ImageID[:]), 2, audit.FaultColumn},
		"instance":   {q(`UPDATE audit SET instance_id = NULL WHERE seq = 2`), q(`UPDATE audit SET instance_id = $1 WHERE seq = 2`, entries[1].InstanceID[:]), 2, audit.FaultColumn},
		"chip":       {q(`UPDATE audit SET chip_id = $1 WHERE seq = 2`, []byte{1}), q(`UPDATE audit SET chip_id = $1 WHERE seq = 2`, []byte(entries[1].ChipID)), 2, audit.FaultColumn},
	} {
		d.exec(t, tc.break1...)
		_, err := s.VerifyAudit(t.Context(), 1, nil)
		var broken *audit.BrokenError
		if !errors.As(err, &broken) || broken.Seq != tc.seq || broken.Fault != tc.fault {
			t.Errorf("%s: got %v, want record %d %s", name, err, tc.seq, tc.fault)
		}
		d.exec(t, tc.mend...)
		if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
			t.Fatalf("%s: mended, got %v", name, err)
		}
	}
}

// swap exchanges records 3 and 4.
func swap() []query {
	return slices.Concat(q(`UPDATE audit SET seq = -3 WHERE seq = 3`), q(`UPDATE audit SET seq = 3 WHERE seq = 4`),
		q(`UPDATE audit SET seq = 4 WHERE seq = -3`))
}

// A log whose end was cut off, with the head set back, is in itself whole. Its MAC
// shows it, and the anchor.
func testCutShort(t *testing.T, d Database) {
	s := d.Open(t)
	entries := chain(t, s, 6)
	anchor, err := s.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.exec(t, q(`DELETE FROM audit WHERE seq > 4`)...)
	d.exec(t, q(`UPDATE audit_head SET seq = 4, hash = $1`, entries[3].Hash[:])...)
	var broken *audit.BrokenError
	if _, err := s.VerifyAudit(t.Context(), 1, nil); !errors.As(err, &broken) || broken.Fault != audit.FaultHead || !strings.Contains(broken.Detail, "MAC") {
		t.Errorf("got %v", err)
	}
	if err := s.VerifyAuditAgainst(t.Context(), anchor); !errors.As(err, &broken) || broken.Fault != audit.FaultMissing || broken.Seq != 6 {
		t.Errorf("got %v", err)
	}
	if err := s.VerifyAuditAgainst(t.Context(), audit.Head{Seq: 4, Hash: entries[3].Hash}); err != nil {
		t.Errorf("an anchor before the cut: %v", err)
	}
}

// Who can write to the database can compute the hashes, too, but not the MAC.
// This is also a second implementation of the hash.
func testWrittenAnew(t *testing.T, d Database) {
	s := d.Open(t)
	entries := chain(t, s, 3)
	anchor := audit.Head{Seq: 3, Hash: entries[2].Hash}
	rewrite(t, d, entries, func(body string) string { return strings.Replace(body, "größer", "kleiner", 1) })
	var broken *audit.BrokenError
	if _, err := s.VerifyAudit(t.Context(), 1, nil); !errors.As(err, &broken) || broken.Fault != audit.FaultHead || !strings.Contains(broken.Detail, "MAC") {
		t.Fatalf("the chain is not as documented: %v", err)
	}
	if err := s.VerifyAuditAgainst(t.Context(), anchor); !errors.As(err, &broken) || broken.Fault != audit.FaultAnchor {
		t.Errorf("got %v", err)
	}
	// A record that is longer than any is not even read.
	rewrite(t, d, entries, func(body string) string { return body + strings.Repeat(" ", 1<<20) })
	if _, err := s.VerifyAudit(t.Context(), 1, nil); !errors.As(err, &broken) || broken.Fault != audit.FaultChanged || broken.Seq != 1 {
		t.Errorf("long records: got %v", err)
	}
}

// rewrite changes records and makes the chain whole again.
func rewrite(t *testing.T, d Database, entries []audit.Entry, change func(body string) string) {
	t.Helper()
	var hash [32]byte
	for _, e := range entries {
		e.Body = []byte(change(string(e.Body)))
		data := append([]byte("\x00\x00\x00\x11snpguard/v1/audit\x00\x00\x00\x20"), hash[:]...)
		data = binary.BigEndian.AppendUint64(append(data, 0, 0, 0, 8), uint64(e.Seq))
		data = binary.BigEndian.AppendUint32(data, uint32(len(e.Body)))
		hash = sha256.Sum256(append(data, e.Body...))
		d.exec(t, q(`UPDATE audit SET hash = $1, body = $2 WHERE seq = $3`, hash[:], e.Body, e.Seq)...)
	}
	d.exec(t, q(`UPDATE audit_head SET hash = $1`, hash[:])...)
}
