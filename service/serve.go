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

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/admin"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
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

// serve opens everything, serves until ctx ends and closes everything.
func serve(ctx context.Context, cfg config.Config, stderr io.Writer) error {
	log := newLogger(cfg, stderr)
	s, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var cleaning sync.WaitGroup
	cleaning.Go(func() { s.janitor.Run(background) })
	cleaning.Go(func() { s.heart.Run(background) })
	cleaning.Go(func() { s.watch.Run(background) })
	err = s.serve(ctx)
	stop()
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

// serve listens on both addresses before it serves on any.
func (s *service) serve(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	servers := []bound{{s.newServer(s.api.With(s.pages)), tls.NewListener(listener, s.tls)}}
	if s.cfg.AdminListen != "" {
		adminListener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.AdminListen)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for admin: %w", err), listener.Close())
		}
		servers = append(servers, bound{s.newServer(admin.Handler(s.metrics.Handler(), s.checks())), adminListener})
		s.log.Info("admin listener", "address", adminListener.Addr().String())
	}
	s.log.Info("serving", "address", listener.Addr().String(), "version", version.String(), "database", s.store.Backend(),
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
