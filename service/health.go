package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/config"
)

// Bounds of asking a service whether it is ready.
const (
	healthTimeout = 5 * time.Second
	maxHealth     = 4 << 10 // bytes of the answer
)

// checkHealth asks the service that runs with this configuration whether it is
// ready. Container images have no other program that could.
func checkHealth(ctx context.Context, cfg config.Config, stdout io.Writer) error {
	if cfg.AdminListen == "" {
		return fmt.Errorf("%w: --health needs --admin-listen, which is empty", config.ErrUsage)
	}
	address, err := reachable(cfg.AdminListen)
	if err != nil {
		return fmt.Errorf("%w: --admin-listen: %w", config.ErrUsage, err)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	// No proxy: this stays on the machine.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the service is not ready: %s: %s", response.Status, bytes.TrimSpace(body))
	}
	_, err = fmt.Fprintf(stdout, "%s\n", bytes.TrimSpace(body))
	return err
}

// reachable returns where a listener is reached on this machine: one on all
// addresses is on loopback too.
func reachable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
