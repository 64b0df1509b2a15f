package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// writerDSN is the variable that makes a test binary a writer.
const writerDSN = "SNPGUARD_TEST_WRITER"

// acknowledgement is what a writer prints when a record is durable.
type acknowledgement struct {
	Seq       int64
	Hash      [32]byte
	RequestID string
	Nonce     store.Nonce
	Claim     store.Claim
}

// WriterMain makes the process one that writes records until it is killed, when a
// test started it for that; it returns false otherwise. TestMain calls it first.
func WriterMain() bool {
	if dsn := os.Getenv(resealerDSN); dsn != "" {
		if err := resealHalf(context.Background(), dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return true
	}
	dsn := os.Getenv(writerDSN)
	if dsn == "" {
		return false
	}
	if err := write(context.Background(), dsn, json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return true
}

func write(ctx context.Context, dsn string, out *json.Encoder) error {
	s, err := open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	if err := stand(ctx, s); err != nil {
		return err
	}
	image, release := Standing()
	launch, err := s.FindLaunch(ctx, image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for range 16 {
		go func() {
			for {
				u := GrantedOf(launch)
				decision, err := u.Write(ctx, s)
				if err != nil || !decision.Granted() {
					failed <- fmt.Errorf("unlock: %+v, %w", decision, err)
					return
				}
				mu.Lock()
				err = out.Encode(acknowledgement{decision.Seq, decision.Hash, u.Audit.RequestID, *u.Nonce, *u.Claim})
				mu.Unlock()
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// writer is a running writer.
type writer struct {
	cmd  *exec.Cmd
	out  *json.Decoder
	acks []acknowledgement
}

func startWriter(t *testing.T, d Database) *writer {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), writerDSN+"="+d.DSN)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &writer{cmd: cmd, out: json.NewDecoder(bufio.NewReader(out))}
}

// read reads so many acknowledgements.
func (w *writer) read(t *testing.T, count int) {
	t.Helper()
	for range count {
		var a acknowledgement
		if err := w.out.Decode(&a); err != nil {
			t.Fatalf("the writer ended: %v", err)
		}
		w.acks = append(w.acks, a)
	}
}

// kill ends the writer without warning, and reads what it had printed. What it
// was about to print is cut off.
func (w *writer) kill(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for {
		var a acknowledgement
		if err := w.out.Decode(&a); err != nil {
			break
		}
		w.acks = append(w.acks, a)
	}
	_, _ = io.Copy(io.Discard, w.out.Buffered())
	if err := w.cmd.Wait(); err == nil {
		t.Error("the writer ended by itself")
	}
}

// Two processes write to one database; one is killed under load, then the other.
// Every record that either acknowledged is there, and the chain is whole.
func testKilled(t *testing.T, d Database) {
	first, second := startWriter(t, d), startWriter(t, d)
	first.read(t, 200)
	second.read(t, 100)
	first.kill(t)
	second.read(t, 200)
	second.kill(t)
	s := d.OpenStanding(t)
	head, err := s.VerifyAudit(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	acks := slices.Concat(first.acks, second.acks)
	if head.Seq < int64(len(acks)) {
		t.Errorf("%d records, %d were acknowledged", head.Seq, len(acks))
	}
	for i, a := range acks {
		found, err := s.ListAudit(t.Context(), store.AuditFilter{RequestID: a.RequestID}, store.AuditRange{})
		if err != nil || len(found) != 1 || found[0].Seq != a.Seq || found[0].Hash != a.Hash || found[0].Outcome != audit.OutcomeGranted {
			t.Fatalf("record %d is not as acknowledged: %+v, %v", a.Seq, found, err)
		}
		if i%20 == 0 {
			checkHeld(t, s, a)
		}
	}
}

// checkHeld checks that nonce and launch of a grant are still used up.
func checkHeld(t *testing.T, s *store.Store, a acknowledgement) {
	t.Helper()
	u := Granted(t, s)
	u.Nonce = &a.Nonce
	if got := record(t, s, u); got.Reason != audit.ReasonNonceUsed {
		t.Errorf("its nonce again: %+v", got)
	}
	u = Granted(t, s)
	u.Claim.ReportID = a.Claim.ReportID
	if got := record(t, s, u); got.Reason != audit.ReasonReportIDReleased {
		t.Errorf("its launch again: %+v", got)
	}
	u = Granted(t, s)
	u.Claim = &a.Claim
	if got := record(t, s, u); !got.Granted() || !got.Retry {
		t.Errorf("its retry: %+v", got)
	}
}
