package main

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// connected is a service that somebody has logged in to.
type connected struct {
	*client.Client
	login *client.Login
}

// connect reads the login.
func connect() (*connected, error) {
	path, err := client.LoginPath()
	if err != nil {
		return nil, err
	}
	login, err := client.ReadLogin(path)
	if err != nil {
		return nil, err
	}
	c, err := login.Client()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &connected{c, login}, nil
}

// identity returns the identity key that was confirmed at login.
func (c *connected) identity() ed25519.PublicKey { return c.login.IdentityKey }

// newTable returns a writer for columns that are separated by tabs.
func newTable(cmd *cobra.Command) *tabwriter.Writer {
	return tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
}

// safe quotes what came from outside when it would do things to a terminal.
func safe(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// stamp writes a time as JSON and flags have it: RFC 3339, UTC, to the second.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// enabled names a switch.
func enabled(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}

// labelText writes labels as flags take them.
func labelText(labels map[string]string) string {
	var words []string
	for key, value := range labels {
		words = append(words, safe(key+"="+value))
	}
	return strings.Join(slices.Sorted(slices.Values(words)), ",")
}

// connectImage connects and finds an image by its ID, its exact name or a channel.
func connectImage(cmd *cobra.Command, text string) (*connected, *wire.Image, error) {
	service, found, err := connectFound(cmd, text)
	if err != nil {
		return nil, nil, err
	}
	return service, found.Image, nil
}

func connectFound(cmd *cobra.Command, text string) (*connected, *client.Found, error) {
	service, err := connect()
	if err != nil {
		return nil, nil, err
	}
	found, err := service.FindImage(cmd.Context(), text)
	return service, found, err
}

// connectRelease is connectImage that also finds a release by its ID; empty means that
// of the channel, or the newest that is approved.
func connectRelease(cmd *cobra.Command, text, release string) (*connected, *wire.Image, *wire.Release, error) {
	service, image, err := connectFound(cmd, text)
	if err != nil {
		return nil, nil, nil, err
	}
	if release == "" {
		found, err := image.Release()
		return service, image.Image, found, err
	}
	found, err := findRelease(image.Image, release)
	return service, image.Image, found, err
}

// findRelease finds a release of an image by its ID.
func findRelease(image *wire.Image, text string) (*wire.Release, error) {
	for i, r := range image.Releases {
		if r.ID.String() == strings.ToLower(text) {
			return &image.Releases[i], nil
		}
	}
	return nil, fmt.Errorf("image %s has no release %q", image.ID, text)
}

// note writes words that are no result.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}
