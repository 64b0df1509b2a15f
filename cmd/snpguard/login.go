package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// loginOptions are the flags of "snpguard login".
type loginOptions struct {
	tokenFile, caFile, fingerprint string
	lifetime                       option.Duration
}

// tokenPrefix starts every API token.
const tokenPrefix = "snpg_"

func newLoginCommand() *cobra.Command {
	o := loginOptions{lifetime: option.Duration(90 * 24 * time.Hour)}
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Log in to an attestation service",
		Long: `Log in to an attestation service and remember it for the other commands.

The first time, the fingerprints of the service's CA, identity key and ingestion
key are shown: compare them with what the service printed when it started. With
--ca-file or --fingerprint the comparison is made for you and nothing is asked.
The CA is pinned, unless this machine's root certificates already trust it.

An API token is read from --token-file or asked for. In its place the master
password may be typed, which makes a token.`,
		Example: `  snpguard login https://attest.example.com:3000
  snpguard login https://10.0.0.5:3000 --token-file token --fingerprint 5f3a...`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return runLogin(cmd, args[0], &o) },
	}
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "file with an API token; - for standard input")
	cmd.Flags().StringVar(&o.caFile, "ca-file", "", "PEM file with the service's CA")
	cmd.Flags().StringVar(&o.fingerprint, "fingerprint", "", "SHA-256 fingerprint of the service's CA")
	cmd.Flags().Var(&o.lifetime, "token-lifetime", "how long a token made by the master password is valid")
	return cmd
}

func runLogin(cmd *cobra.Command, url string, o *loginOptions) error {
	path, err := client.LoginPath()
	if err != nil {
		return err
	}
	want, err := o.expected()
	if err != nil {
		return err
	}
	found, err := client.Discover(cmd.Context(), url)
	if err != nil {
		return err
	}
	in := bufio.NewReader(cmd.InOrStdin())
	if err := o.confirm(cmd, in, found, want); err != nil {
		return err
	}
	login := &client.Login{URL: url, IdentityKey: found.Info.IdentityKey, IngestionKey: found.Info.IngestionKey}
	if !found.PubliclyTrusted {
		login.CA = found.Info.CACertificate
	}
	if err := o.authenticate(cmd, in, login); err != nil {
		return err
	}
	if err := login.Write(path); err != nil {
		return err
	}
	note(cmd, "logged in to %s, saved in %s", url, path)
	return nil
}

// confirm compares the CA with the fingerprint that the operator gave, or asks.
func (o *loginOptions) confirm(cmd *cobra.Command, in *bufio.Reader, found *client.Discovered, want string) error {
	info := found.Info
	note(cmd, "CA             %s\nidentity key   %s\ningestion key  %s", info.CAFingerprint, info.IdentityKeyFingerprint, info.IngestionKeyFingerprint)
	if info.Simulated {
		note(cmd, "WARNING: this service trusts a SIMULATED AMD; its attestation proves nothing")
	}
	switch {
	case want != "" && want != info.CAFingerprint:
		note(cmd, "snpguard: the service's CA is %s, not %s: this is another service, or the connection is intercepted; nothing was saved", info.CAFingerprint, want)
		return errNo
	case want != "" || found.PubliclyTrusted:
		return nil
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Are these the service's fingerprints? Type yes: ")
	answer, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		note(cmd, "snpguard: not confirmed, nothing was saved")
		return errNo
	}
	return nil
}

// expected returns the fingerprint that the CA must have, or none.
func (o *loginOptions) expected() (string, error) {
	if o.caFile == "" && o.fingerprint == "" {
		return "", nil
	}
	if o.caFile == "" {
		want, err := client.ParseFingerprint(o.fingerprint)
		if err != nil {
			return "", usageErrorf("--fingerprint: %w", err)
		}
		return want, nil
	}
	if o.fingerprint != "" {
		return "", usageErrorf("--ca-file and --fingerprint exclude each other")
	}
	ca, err := os.ReadFile(o.caFile)
	if err != nil {
		return "", err
	}
	fingerprint, err := client.Fingerprint(string(ca))
	if err != nil {
		return "", fmt.Errorf("--ca-file %s: %w", o.caFile, err)
	}
	return fingerprint, nil
}

// authenticate finds or makes a token and tries it.
func (o *loginOptions) authenticate(cmd *cobra.Command, in *bufio.Reader, login *client.Login) error {
	secret, err := o.secret(cmd, in)
	if err != nil {
		return err
	}
	c, err := login.Client()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(secret, tokenPrefix) {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		token, err := c.TokenByPassword(cmd.Context(), secret, "snpguard login on "+host, time.Duration(o.lifetime))
		if err != nil {
			return fmt.Errorf("log in with the master password: %w", err)
		}
		secret = token.Secret
	}
	login.Token = secret
	if c, err = login.Client(); err != nil {
		return err
	}
	_, err = c.Status(cmd.Context())
	return err
}

// secret reads a token or the master password, without echo on a terminal.
func (o *loginOptions) secret(cmd *cobra.Command, in *bufio.Reader) (string, error) {
	if o.tokenFile != "" && o.tokenFile != "-" {
		data, err := os.ReadFile(o.tokenFile)
		return string(bytes.TrimSpace(data)), err
	}
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) && o.tokenFile == "" {
		fmt.Fprint(cmd.ErrOrStderr(), "API token or master password: ")
		data, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(bytes.TrimSpace(data)), err
	}
	line, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("standard input is empty: give an API token or the master password")
	}
	return line, nil
}
