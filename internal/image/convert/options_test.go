package convert

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

func TestOptionsAreChecked(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	put(t, filepath.Dir(source), "source", "x")
	plain := filepath.Join(t.TempDir(), "plain.fd")
	if err := os.WriteFile(plain, vectors.MustRead(t, "measure/inputs/fw/ovmf-trixie-2025.02.fd"), 0o600); err != nil {
		t.Fatal(err)
	}
	const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" // of age's README
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid := identity.Recipient().String()
	good, _ := tinyOptions(t, source)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		wrong  option.Name
		want   string
	}{
		"no input":           {func(o *Options) { o.Input = "" }, "in", "is missing"},
		"input not there":    {func(o *Options) { o.Input += "x" }, "in", "no such file"},
		"input no file":      {func(o *Options) { o.Input = "/dev/null" }, "in", "not a regular file"},
		"no output":          {func(o *Options) { o.Output = "" }, "out", "is missing"},
		"no staging":         {func(o *Options) { o.Staging = "" }, "staging", "is missing"},
		"no firmware":        {func(o *Options) { o.Firmware = "" }, "firmware", "is missing"},
		"no such firmware":   {func(o *Options) { o.Firmware = source }, "firmware", ""},
		"firmware, no table": {func(o *Options) { o.Firmware = plain }, "firmware", "ovmf-amdsev"},
		"format":             {func(o *Options) { o.Format = "vmdk" }, "format", "neither qcow2 nor raw"},
		"compressed raw":     {func(o *Options) { o.Format, o.Compress = Raw, true }, "format", "only qcow2"},
		"size":               {func(o *Options) { o.Size = "-1" }, "size", "size"},
		"small slots":        {func(o *Options) { o.ArtifactsSize = "1M" }, "artifacts_size", "1 MiB, want 8 MiB to 16 GiB, or 0 for none"},
		"slots":              {func(o *Options) { o.ArtifactsSize = "none" }, "artifacts_size", "none"},
		"command line":       {func(o *Options) { o.CmdlineAppend = "a\nb" }, "cmdline_append", "one line"},
		"kept word":          {func(o *Options) { o.KeepArguments = []string{"a\nb"} }, "keep_arguments", "one line"},
		"data source":        {func(o *Options) { o.CloudInit = "Ec2,No Cloud" }, "cloud_init", "not the name of a data source"},
		"initrd":             {func(o *Options) { o.Initrd = "none" }, "initrd", "neither minimal nor distribution"},
		"recipient":          {func(o *Options) { o.RecoveryRecipients = []string{"age1"} }, "recovery_recipients", "number 1 is not an age recipient"},
		"secret key":         {func(o *Options) { o.RecoveryRecipients = []string{"AGE-SECRET-KEY-1QQ"} }, "recovery_recipients", "is a secret key"},
		"65 recipients":      {func(o *Options) { o.RecoveryRecipients = slices.Repeat([]string{recipient}, 65) }, "recovery_recipients", "at most 64 fit"},
		"mixed recipients":   {func(o *Options) { o.RecoveryRecipients = []string{recipient, hybrid} }, "recovery_recipients", "can't mix post-quantum"},
		"no agent":           {func(o *Options) { o.Agent = nil }, "agent_path", "there is none"},
		"no URL":             {func(o *Options) { o.Service.URLs = nil }, "services", "services is missing: no URL"},
		"no CA":              {func(o *Options) { o.Service.CA = "x" }, "ca_file", "no CA"},
		"no identity":        {func(o *Options) { o.Service.IdentityKey = nil }, "identity_key", "is missing"},
		"small order":        {func(o *Options) { o.Service.IdentityKey = make([]byte, 32) }, "identity_key", "anybody can sign"},
		"no ingestion":       {func(o *Options) { o.Service.IngestionKey = nil }, "ingestion_key", "is missing"},
	} {
		o := *good
		test.change(&o)
		err := o.Check()
		var wrong *option.Error
		if !errors.As(err, &wrong) || wrong.Option != test.wrong || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET-KEY-1QQ") {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
	o := *good
	o.NoEncryption, o.Agent, o.Service = true, nil, Service{}
	if err := o.Check(); err != nil {
		t.Errorf("without encryption: %v", err)
	}
	o.Format, o.Size = "x", "-1"
	if err := o.Check(); !strings.Contains(err.Error(), "format: ") || !strings.Contains(err.Error(), "size: ") {
		t.Errorf("several: %v", err)
	}
}
