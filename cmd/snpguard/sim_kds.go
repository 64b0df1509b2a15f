package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// simKDSOptions are the flags of "snpguard sim kds" as they were given.
type simKDSOptions struct {
	listen, state   string
	rootOut, urlOut string
	allowRemote     bool
}

func newSimKDSCommand() *cobra.Command {
	var o simKDSOptions
	cmd := &cobra.Command{
		Use:   "kds --state FILE [--listen ADDRESS] [--root-out PEM] [--url-out FILE]",
		Short: "Serve a SIMULATED Key Distribution Service",
		Long: `Serve a SIMULATED Key Distribution Service over HTTP: certificates of every chip
that is asked for, of Milan, Genoa and Turin, their chains and revocation lists,
under AMD's paths. It runs until it is interrupted, and prints its URL.

The keys are kept in the state file, which is made at the first start; its root
stays the same as long as that file is kept.`,
		Example: `  snpguard sim kds --state sim.json --root-out sim-root.pem &
  snpguard sim report --state sim.json --product Genoa --out report.bin
  snpguard report verify report.bin --kds http://127.0.0.1:4080 --insecure-trust-root sim-root.pem`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSimKDS(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:4080", "address and port to listen on; port 0 takes a free one")
	f.StringVar(&o.state, "state", "", "file with the keys of the simulated AMD, created if missing")
	f.StringVar(&o.rootOut, "root-out", "", "file to write the simulated ARKs to, for --insecure-trust-root")
	f.StringVar(&o.urlOut, "url-out", "", "file to write the URL to once it answers")
	f.BoolVar(&o.allowRemote, "allow-remote", false, "allow an address that other machines can reach")
	return cmd
}

func runSimKDS(cmd *cobra.Command, o *simKDSOptions) error {
	if err := o.checkListen(); err != nil {
		return err
	}
	amd, err := openSim(cmd.ErrOrStderr(), o.state, sim.New)
	if err != nil {
		return err
	}
	if o.rootOut != "" {
		if err := writePublic(o.rootOut, simRoots(amd)); err != nil {
			return err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", o.listen)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	fmt.Fprintf(cmd.ErrOrStderr(), "snpguard: serving a SIMULATED Key Distribution Service; end it with Ctrl-C\n")
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), url); err != nil {
		return err
	}
	if o.urlOut != "" {
		if err := writePublic(o.urlOut, []byte(url+"\n")); err != nil {
			return err
		}
	}
	return serveUntilDone(cmd.Context(), listener, sim.NewKDS(amd))
}

// checkListen refuses addresses that other machines can reach: nobody should
// mistake a simulation for AMD.
func (o *simKDSOptions) checkListen() error {
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return usageErrorf("--listen: %w", err)
	}
	ip := net.ParseIP(host)
	if loopback := host == "localhost" || ip != nil && ip.IsLoopback(); !loopback && !o.allowRemote {
		return usageErrorf("--listen: other machines can reach %q; to allow that, add --allow-remote", o.listen)
	}
	return nil
}

// simRoots returns the simulated ARKs in PEM.
func simRoots(amd *sim.AMD) []byte {
	var out []byte
	for _, p := range snp.Products() {
		if line := amd.Line(p); line != nil {
			out = slices.Concat(out, line.ARK.PEM())
		}
	}
	return out
}

// serveUntilDone serves HTTP until the context ends, and lets requests that run
// then finish.
func serveUntilDone(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
