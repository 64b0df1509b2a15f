package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/monitoring"
	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

// Time-outs of the listeners. Large bodies have their own pace, which the API
// enforces.
const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 20 * time.Second
	maxHeader       = 32 << 10
)

// serve opens everything, serves until ctx ends and closes everything. It listens
// before it makes anything: the password of a first start is shown by a service
// that runs.
func serve(ctx context.Context, cfg config.Config, stderr io.Writer) error {
	log := newLogger(cfg, stderr)
	l, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	s, err := open(ctx, cfg, log)
	if err != nil {
		return errors.Join(err, l.close())
	}
	background, stop := context.WithCancel(ctx)
	var cleaning sync.WaitGroup
	cleaning.Go(func() { s.janitor.Run(background) })
	cleaning.Go(func() { s.presence.Run(background) })
	cleaning.Go(func() { s.watch.Run(background) })
	// Requests that end after the signal are counted too.
	counting, counted := context.WithCancel(context.WithoutCancel(ctx))
	cleaning.Go(func() { s.tally.Run(counting) })
	err = s.serve(ctx, l)
	stop()
	counted()
	cleaning.Wait()
	return errors.Join(err, s.close())
}

func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// listeners are those of the API and, if it is wanted, of the admin pages.
type listeners struct{ api, admin net.Listener }

// listen takes both addresses.
func listen(ctx context.Context, cfg config.Config) (*listeners, error) {
	var l listeners
	var err error
	if l.api, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("--listen %s: %w", cfg.Listen, err)
	}
	if cfg.AdminListen == "" {
		return &l, nil
	}
	if l.admin, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.AdminListen); err != nil {
		return nil, errors.Join(fmt.Errorf("--admin-listen %s: %w", cfg.AdminListen, err), l.close())
	}
	return &l, nil
}

func (l *listeners) close() error {
	err := l.api.Close()
	if l.admin != nil {
		err = errors.Join(err, l.admin.Close())
	}
	return err
}

// serve serves on both addresses.
func (s *service) serve(ctx context.Context, l *listeners) error {
	servers := []bound{{s.newServer(s.api.With(s.pages)), tls.NewListener(l.api, s.tls)}}
	if l.admin != nil {
		servers = append(servers, bound{s.newServer(monitoring.Handler(s.metrics.Handler(), s.checks())), l.admin})
		s.log.Info("admin listener", "address", l.admin.Addr().String())
	}
	s.log.Info("serving", "address", l.api.Addr().String(), "version", version.String(), "database", s.store.Backend(),
		"ca_fingerprint", s.info.CAFingerprint, "identity_key_fingerprint", s.info.IdentityKeyFingerprint, "ingestion_key_fingerprint", s.info.IngestionKeyFingerprint)
	return serveAll(ctx, servers)
}

// bound is a server with its listener.
type bound struct {
	*http.Server
	listener net.Listener
}

func (s *service) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// serveAll serves until ctx ends or a server fails. Then it lets requests that
// are under way finish, for a while.
func serveAll(ctx context.Context, servers []bound) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, server := range servers {
		go func() {
			if err := server.Serve(server.listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		}()
	}
	<-ctx.Done()
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	grace, release := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer release()
	for _, server := range servers {
		if shutdownErr := server.Shutdown(grace); shutdownErr != nil {
			err = errors.Join(err, server.Close())
		}
	}
	return err
}
