// Package service is the Packer data source "snpguard-service": who an attestation
// service is, after it has proved to be the one that is meant.
package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config,DatasourceOutput
//go:generate packer-sdc struct-markdown

// patience bounds how long a service may take to answer.
const patience = time.Minute

// Config is a block of the data source.
type Config struct {
	client.Service `mapstructure:",squash"`
}

// DatasourceOutput is what a template can use.
type DatasourceOutput struct {
	// Address of the service.
	URL string `mapstructure:"url"`
	// Version of the service.
	Version string `mapstructure:"version"`
	// CA of the service in PEM, for `ca_file`. Empty when its certificate is
	// publicly trusted.
	CA string `mapstructure:"ca"`
	// SHA-256 fingerprint of the CA, for `fingerprint`. Empty when `ca` is.
	CAFingerprint string `mapstructure:"ca_fingerprint"`
	// Identity key of the service in PEM, for `identity_key`.
	IdentityKey string `mapstructure:"identity_key"`
	// SHA-256 fingerprint of the identity key.
	IdentityKeyFingerprint string `mapstructure:"identity_key_fingerprint"`
	// Ingestion key of the service in PEM, for `ingestion_key`.
	IngestionKey string `mapstructure:"ingestion_key"`
	// SHA-256 fingerprint of the ingestion key.
	IngestionKeyFingerprint string `mapstructure:"ingestion_key_fingerprint"`
	// Whether the service trusts a simulated AMD, so that its attestation proves
	// nothing.
	Simulated bool `mapstructure:"simulated"`
}

// Datasource implements packer.Datasource.
type Datasource struct{ config Config }

// ConfigSpec implements packer.Datasource.
func (d *Datasource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec implements packer.Datasource.
func (d *Datasource) OutputSpec() hcldec.ObjectSpec {
	return (&DatasourceOutput{}).FlatMapstructure().HCL2Spec()
}

// Configure implements packer.Datasource.
func (d *Datasource) Configure(raws ...any) error { return config.Decode(&d.config, nil, raws...) }

// Execute implements packer.Datasource.
func (d *Datasource) Execute() (cty.Value, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := d.output(ctx)
	if err != nil {
		return cty.NullVal(cty.EmptyObject), err
	}
	return hcl2helper.HCL2ValueFromConfig(*out, d.OutputSpec()), nil
}

func (d *Datasource) output(ctx context.Context) (*DatasourceOutput, error) {
	login, err := d.config.Login(ctx)
	if err != nil {
		return nil, err
	}
	c, err := client.New(login.URL, login.CA, "")
	if err != nil {
		return nil, err
	}
	info, err := c.PublicInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("service_url: %w", err)
	}
	identity, err := keyfile.Identity(login.IdentityKey)
	if err != nil {
		return nil, err
	}
	ingestion, err := seal.ParsePublicKey(login.IngestionKey)
	if err != nil {
		return nil, fmt.Errorf("ingestion key of the service: %w", err)
	}
	out := &DatasourceOutput{
		URL: login.URL, Version: info.Version, CA: login.CA, Simulated: info.Simulated,
		IdentityKey: string(identity), IdentityKeyFingerprint: fingerprint(login.IdentityKey),
		IngestionKey: string(keyfile.Public(ingestion)), IngestionKeyFingerprint: fingerprint(login.IngestionKey),
	}
	if login.CA != "" {
		out.CAFingerprint, err = client.Fingerprint(login.CA)
	}
	return out, err
}

func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}
