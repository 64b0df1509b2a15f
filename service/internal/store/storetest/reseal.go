package storetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func resealTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"reseal":           testReseal,
		"reseal fails":     testResealFails,
		"reseal killed":    testResealKilled,
		"reseal and lock":  testResealLocked,
		"reseal and write": testResealWaits,
	}
}

// resealer is a store.Resealer that marks what it seals; after so many images it
// calls interrupt.
type resealer struct {
	mark      string
	images    int
	interrupt func() error
}

func (r *resealer) Secret(name string, sealed []byte) ([]byte, error) {
	return []byte(r.mark + name + " " + string(sealed)), nil
}

func (r *resealer) ImageKeys(_ wire.UUID, id, author []byte) (newID, newAuthor []byte, err error) {
	if r.images--; r.images == 0 {
		err = r.interrupt()
	}
	return append([]byte(r.mark), id...), append([]byte(r.mark), author...), err
}

func (r *resealer) Share(_ wire.UUID, sealed []byte) ([]byte, error) {
	return append([]byte(r.mark), sealed...), nil
}

// RowKey returns another key than the tests' own.
func (r *resealer) RowKey() []byte { return renewedKey() }

func renewedKey() []byte { return bytes.Repeat([]byte{8}, store.RowKeySize) }

// sealedImages is more than two pages of Reseal, sealedInstances more than one.
const (
	sealedImages    = 1100
	sealedInstances = 510
)

// fillSealed makes secrets, images and instances whose keys are told apart.
func fillSealed(t *testing.T, s *store.Store) {
	t.Helper()
	for _, name := range []string{"a", "b"} {
		if _, err := s.PutSecretIfAbsent(t.Context(), name, []byte("sealed")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
		for n := range sealedImages {
			image, release := Image(fmt.Sprint("image ", n)), Release("f", "k", "i")
			image.IDKeySealed, image.AuthorKeySealed, release.Variants = []byte("id "+image.Name), []byte("author "+image.Name), release.Variants[:1]
			image.Instances = Named()
			if _, _, err := s.CreateImage(ctx, image, release, Present); err != nil {
				return audit.Record{}, err
			}
			if n >= sealedInstances {
				continue
			}
			instance := Instance(image.ID, fmt.Sprint("instance-", n))
			instance.ShareSealed = []byte("share " + instance.Name)
			if _, err := s.CreateInstance(ctx, instance); err != nil {
				return audit.Record{}, err
			}
		}
		return audit.Record{Outcome: audit.OutcomeDone}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkSealed wants everything to have the mark, which is empty for what was
// never resealed, and nothing else.
func checkSealed(t *testing.T, d Database, mark string) {
	t.Helper()
	if mark != "" {
		d.Key = renewedKey()
	}
	s := d.Open(t)
	for _, name := range []string{"a", "b"} {
		want := "sealed"
		if mark != "" {
			want = mark + name + " sealed"
		}
		if got, _, err := s.Secret(t.Context(), name); err != nil || string(got) != want {
			t.Errorf("secret %s: got %q, %v, want %q", name, got, err, want)
		}
	}
	for n := range sealedImages {
		name := fmt.Sprint("image ", n)
		image, err := s.ImageByName(t.Context(), name)
		if err != nil || string(image.IDKeySealed) != mark+"id "+name || string(image.AuthorKeySealed) != mark+"author "+name {
			t.Fatalf("%s: got %q, %q, %v, want mark %q", name, image.IDKeySealed, image.AuthorKeySealed, err, mark)
		}
	}
	for n := range sealedInstances {
		name := fmt.Sprint("instance-", n)
		if i, err := s.InstanceByName(t.Context(), name); err != nil || string(i.ShareSealed) != mark+"share "+name {
			t.Fatalf("%s: got %q, %v, want mark %q", name, i.ShareSealed, err, mark)
		}
	}
}

func testReseal(t *testing.T, d Database) {
	s := d.Open(t)
	fillSealed(t, s)
	done, err := s.Reseal(t.Context(), &resealer{mark: "new "})
	if err != nil || done != (store.Resealed{Secrets: 2, Images: sealedImages, Instances: sealedInstances}) {
		t.Errorf("got %+v, %v", done, err)
	}
	checkSealed(t, d, "new ")
}

// A key that cannot be sealed anew leaves all as they were, the secrets too.
func testResealFails(t *testing.T, d Database) {
	s := d.Open(t)
	fillSealed(t, s)
	trouble := errors.New("trouble")
	for name, r := range map[string]*resealer{
		"last image": {"new ", sealedImages, func() error { return trouble }},
		"too long":   {string(make([]byte, store.MaxBytes)), 0, nil},
	} {
		done, err := s.Reseal(t.Context(), r)
		if done != (store.Resealed{}) || !errors.Is(err, trouble) && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %+v, %v", name, done, err)
		}
	}
	checkSealed(t, d, "")
}

// resealerDSN is the variable that makes a test binary one that reseals.
const resealerDSN = "SNPGUARD_TEST_RESEALER"

// resealHalf reseals, and says when it is half-way. Then it waits to be killed.
func resealHalf(ctx context.Context, dsn string) error {
	s, err := open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	_, err = s.Reseal(ctx, &resealer{"new ", sealedImages / 2, func() error {
		if _, err := fmt.Println("half-way"); err != nil {
			return err
		}
		select {}
	}})
	return err
}

// A process that is killed half-way leaves everything as it was; the next one
// does it all.
func testResealKilled(t *testing.T, d Database) {
	fillSealed(t, d.Open(t))
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), resealerDSN+"="+d.DSN)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "half-way\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	checkSealed(t, d, "")
	if _, err := d.Open(t).Reseal(t.Context(), &resealer{mark: "new "}); err != nil {
		t.Error(err)
	}
	checkSealed(t, d, "new ")
}

// An image that is added under the lock is sealed anew with the others.
func testResealLocked(t *testing.T, d Database) {
	s, other := d.Open(t), d.Open(t)
	fillSealed(t, s)
	if _, err := s.LockSecret(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	late := Image("late")
	resealed := make(chan error)
	_, err := s.Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
		if sealed, err := s.LockSecret(ctx, "a"); err != nil || string(sealed) != "sealed" {
			t.Errorf("got %q, %v", sealed, err)
		}
		go func() {
			_, err := other.Reseal(t.Context(), &resealer{mark: "new "})
			resealed <- err
		}()
		_, _, err := s.CreateImage(ctx, late, Release("f", "k", "i"), Present)
		return audit.Record{Outcome: audit.OutcomeDone}, err
	})
	if err := errors.Join(err, <-resealed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ImageByName(t.Context(), "late"); !errors.Is(err, store.ErrTampered) {
		t.Errorf("under the old key: got %v", err)
	}
	if got, err := (Database{d.DSN, renewedKey()}).Open(t).ImageByName(t.Context(), "late"); err != nil || string(got.IDKeySealed) != "new sealed ID key" {
		t.Errorf("got %q, %v", got.IDKeySealed, err)
	}
	checkSealed(t, d, "new ")
}

// Who asks for the lock while others reseal gets it afterwards, and sees that.
func testResealWaits(t *testing.T, d Database) {
	s, other := d.Open(t), d.Open(t)
	fillSealed(t, s)
	locked := make(chan string)
	_, err := s.Reseal(t.Context(), &resealer{"new ", sealedImages, func() error {
		go func() {
			sealed, err := other.LockSecret(t.Context(), "a")
			if err != nil {
				t.Error(err)
			}
			locked <- string(sealed)
		}()
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
	if got := <-locked; got != "new a sealed" {
		t.Errorf("got %q", got)
	}
}
