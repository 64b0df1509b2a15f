package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// at returns the time at which certificates have to be valid.
func (o *verifyOptions) at() (time.Time, error) {
	if o.time == "" {
		return time.Now(), nil
	}
	at, err := time.Parse(time.RFC3339, o.time)
	if err != nil {
		return at, usageErrorf("--time: %q is not a time; want RFC 3339, for example 2026-01-31T00:00:00Z", o.time)
	}
	return at, nil
}

// roots returns what may end a chain.
func (o *verifyOptions) roots() (*attest.Roots, error) { return readRoots(o.trustRoot) }

// readRoots reads the roots that replace AMD's. Without a file AMD's count.
func readRoots(path string) (*attest.Roots, error) {
	if path == "" {
		return attest.AMDRoots(), nil
	}
	data, err := readBounded(path, attest.MaxCertificatesSize+1)
	if err != nil {
		return nil, err
	}
	certs, err := attest.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	roots, err := attest.NewRoots(certs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return roots, nil
}

// reportPolicy returns what is asked of a genuine report.
func (o *verifyOptions) reportPolicy() (*attest.Policy, error) {
	// No policy, no opinion on keys, VMPLs and TCBs, and the result says so.
	p := &attest.Policy{
		Version: attest.PolicyVersion, SigningKeys: []string{snp.SignedByVCEK.String(), snp.SignedByVLEK.String()},
		VMPLs: []uint32{0, 1, 2, 3}, TCBFloors: attest.TCBFloors{None: true},
	}
	if o.policy != "" {
		data, err := readBounded(o.policy, attest.MaxPolicySize+1)
		if err != nil {
			return nil, err
		}
		if p, err = attest.ParsePolicy(data); err != nil {
			return nil, fmt.Errorf("%s: %w", o.policy, err)
		}
	}
	if o.allowDebug {
		p.GuestPolicy.AllowDebug = true
	}
	return p, o.narrow(p)
}

// narrow adds the values of flags to a policy. A policy that already rules them
// out is a contradiction.
func (o *verifyOptions) narrow(p *attest.Policy) error {
	if err := o.narrowReportData(p); err != nil {
		return err
	}
	if o.measurement != "" {
		var want attest.Bytes48
		if err := want.UnmarshalText([]byte(o.measurement)); err != nil {
			return usageErrorf("--measurement: %w", err)
		}
		if p.Measurements != nil && !slices.Contains(p.Measurements, want) {
			return usageErrorf("--measurement: the policy requires other values")
		}
		p.Measurements = []attest.Bytes48{want}
	}
	return nil
}

func (o *verifyOptions) narrowReportData(p *attest.Policy) error {
	var want attest.Bytes64
	flag := "--report-data"
	switch {
	case o.reportData != "" && o.nonce != "":
		return usageErrorf("--nonce excludes --report-data: REPORT_DATA is a hash of the nonce")
	case o.reportData != "":
		if err := want.UnmarshalText([]byte(o.reportData)); err != nil {
			return usageErrorf("--report-data: %w", err)
		}
	case o.nonce != "":
		nonce, err := wire.ParseReportNonce(o.nonce)
		if err != nil {
			return usageErrorf("--nonce: %w", err)
		}
		flag, want = "--nonce", wire.ReportData(nonce)
	default:
		return nil
	}
	if p.ReportData != nil && *p.ReportData != want {
		return usageErrorf("%s: the policy requires another, %s", flag, p.ReportData)
	}
	p.ReportData = &want
	return nil
}
