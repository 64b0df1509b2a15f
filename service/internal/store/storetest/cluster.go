package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
)

// Cluster is a throw-away PostgreSQL server on a socket in a directory of its
// own. The zero value starts it when the first database is asked for.
type Cluster struct {
	start sync.Once
	err   error
	dir   string
	owner *syscall.Credential // nil: this process's own
	bin   string
	names atomic.Int64

	mu     sync.Mutex
	server *exec.Cmd
	exited chan struct{}
}

// NewDatabase returns the URL of an empty schema, which is quicker to make than a
// database. A test without PostgreSQL fails and names the package to install.
func (c *Cluster) NewDatabase(t testing.TB) string {
	t.Helper()
	c.start.Do(func() { c.err = c.create() })
	if c.err != nil {
		t.Fatal(c.err)
	}
	name := fmt.Sprintf("test%d", c.names.Add(1))
	db, err := sql.Open("pgx", c.url("public"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // nothing was written that matters
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return c.url(name)
}

// Restore runs a script that pg_dump wrote of the schema, and returns its URL.
func (c *Cluster) Restore(t testing.TB, script io.Reader, schema string) string {
	t.Helper()
	c.NewDatabase(t) // starts the server
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.bin, "psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", c.conninfo())
	cmd.Stdin = script
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
	return c.url(schema)
}

// Dump returns a script that makes the schema of a database, as pg_dump writes it.
func (c *Cluster) Dump(t testing.TB, dsn string) []byte {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(c.bin, "pg_dump"), "--inserts", "--no-owner",
		"--schema="+u.Query().Get("search_path"), c.conninfo()).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	// Meta-commands of psql that older ones do not know.
	return regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`).ReplaceAll(out, nil)
}

// conninfo is how libpq's programs find the server.
func (c *Cluster) conninfo() string { return "user=postgres dbname=postgres host=" + c.dir }

func (c *Cluster) url(schema string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres"}
	u.RawQuery = url.Values{"host": {c.dir}, "search_path": {schema}}.Encode()
	return u.String()
}

func (c *Cluster) create() error {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return errors.New("PostgreSQL is missing: install the Debian package postgresql")
	}
	c.bin = filepath.Dir(slices.Max(found))
	var err error
	if c.dir, err = os.MkdirTemp("", "snpguard-pg"); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if c.owner, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return err
		}
	}
	initdb := c.command("initdb", "--pgdata="+c.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return c.Start()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// unprivileged returns a user for the server, which refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
	}
	return nil, errors.New("no user postgres to run PostgreSQL as")
}

// command runs a program of the server as its owner. It dies with this process.
func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Start starts the server and waits until it answers.
func (c *Cluster) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Nothing is lost without fsync but after a crash of the machine.
	server := c.command("postgres", "-D", c.data(), "-k", c.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "unix_socket_permissions=0700")
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = server.Wait() // what matters is that it has ended
		close(exited)
	}()
	c.server, c.exited = server, exited
	return c.await()
}

func (c *Cluster) await() error {
	db, err := sql.Open("pgx", c.url("public"))
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	for {
		if err = db.PingContext(context.Background()); err == nil {
			return nil
		}
		select {
		case <-c.exited:
			text, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("PostgreSQL ended: %s", text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Halt stops the server at once, as a crash would; Start starts it again.
func (c *Cluster) Halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return
	}
	_ = c.server.Process.Signal(syscall.SIGQUIT) // it may have ended
	<-c.exited
	c.server = nil
}

// Stop stops the server, if it was started, and removes its files.
func (c *Cluster) Stop() {
	c.Halt()
	if c.dir != "" {
		_ = os.RemoveAll(c.dir) // a leftover of a test hurts nobody
	}
}
