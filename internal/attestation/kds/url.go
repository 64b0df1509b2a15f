package kds

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// AMD is the address of AMD's own Key Distribution Service.
const AMD = "https://kdsintf.amd.com"

// urlPath returns path and query of what the key names (57230 rev. 1.00, chapter
// 4): /vcek/v1/PRODUCT/HWID?LEVELS, /vcek/v1/PRODUCT/cert_chain or
// /vlek/v1/PRODUCT/crl. Levels are decimal, of two digits at least; Turin's have
// fmcSPL and its hardware ID is short.
func urlPath(k Key) string {
	base := fmt.Sprintf("/%s/v1/%s", strings.ToLower(k.Signer.String()), k.Product)
	switch k.Kind {
	case KindChain:
		return base + "/cert_chain"
	case KindCRL:
		return base + "/crl"
	}
	query := fmt.Sprintf("blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d",
		k.TCB.BootLoader, k.TCB.TEE, k.TCB.SNP, k.TCB.Microcode)
	if k.Product == snp.Turin {
		query += fmt.Sprintf("&fmcSPL=%02d", k.TCB.FMC)
	}
	return fmt.Sprintf("%s/%x?%s", base, k.hardwareID(), query)
}

// parseBaseURL checks the address of a KDS and returns it without a slash at its
// end. Plain HTTP is taken: what counts is signed.
func parseBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("address of KDS: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", fmt.Errorf("address of KDS %q: want https://HOST or http://HOST", s)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("address of KDS: user, query and fragment have no place in it")
	}
	return strings.TrimRight(u.String(), "/"), nil
}
