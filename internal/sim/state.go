package sim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
)

// stateFormat is raised when older programs could misread a state file.
const stateFormat = 1

const stateWarning = "SIMULATED AMD: throw-away keys for tests and demos. Never trust this root for anything real."

// state is a simulated AMD as JSON.
type state struct {
	Warning string                    `json:"warning"`
	Format  int                       `json:"format"`
	Seed    []byte                    `json:"seed"`
	Lines   map[snp.Product]stateLine `json:"lines"`
}

type stateLine struct {
	ARK  stateAuthority `json:"ark"`
	ASK  stateAuthority `json:"ask"`
	ASVK stateAuthority `json:"asvk"`
}

type stateAuthority struct {
	Key         []byte `json:"key"`         // PKCS #8
	Certificate []byte `json:"certificate"` // DER
}

// Marshal returns the whole simulated AMD, private keys included, for Parse.
func (a *AMD) Marshal() ([]byte, error) {
	s := state{Warning: stateWarning, Format: stateFormat, Seed: a.seed[:], Lines: make(map[snp.Product]stateLine)}
	for p, line := range a.lines {
		var out stateLine
		for _, part := range []struct {
			from *Authority
			to   *stateAuthority
		}{{line.ARK, &out.ARK}, {line.ASK, &out.ASK}, {line.ASVK, &out.ASVK}} {
			key, err := x509.MarshalPKCS8PrivateKey(part.from.Key)
			if err != nil {
				return nil, err
			}
			*part.to = stateAuthority{key, part.from.Certificate.Raw}
		}
		s.Lines[p] = out
	}
	return json.MarshalIndent(s, "", " ")
}

// Parse reads what Marshal wrote.
func Parse(data []byte) (*AMD, error) {
	a, err := parseState(data)
	if err != nil {
		return nil, fmt.Errorf("read state of the simulated AMD: %w", err)
	}
	return a, nil
}

func parseState(data []byte) (*AMD, error) {
	var s state
	if err := strictjson.Decode(data, &s); err != nil {
		return nil, err
	}
	if s.Format != stateFormat {
		return nil, fmt.Errorf("format is %d, this program knows %d", s.Format, stateFormat)
	}
	a := &AMD{lines: make(map[snp.Product]*Line), clock: time.Now}
	if copy(a.seed[:], s.Seed) != len(a.seed) || len(s.Seed) != len(a.seed) {
		return nil, fmt.Errorf("seed has %d bytes, want %d", len(s.Seed), len(a.seed))
	}
	for p, in := range s.Lines {
		if _, err := snp.ParseProduct(string(p)); err != nil {
			return nil, err
		}
		line := &Line{Product: p}
		for _, part := range []struct {
			from stateAuthority
			to   **Authority
		}{{in.ARK, &line.ARK}, {in.ASK, &line.ASK}, {in.ASVK, &line.ASVK}} {
			var err error
			if *part.to, err = part.from.parse(); err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
		}
		a.lines[p] = line
	}
	if len(a.lines) == 0 {
		return nil, errors.New("no product line")
	}
	return a, nil
}

func (s stateAuthority) parse() (*Authority, error) {
	key, err := x509.ParsePKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, err
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key is a %T, want RSA", key)
	}
	cert, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return nil, err
	}
	if !rsaKey.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("key and certificate do not belong together")
	}
	return &Authority{Key: rsaKey, Certificate: cert}, nil
}
