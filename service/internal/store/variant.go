package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Variant is a release as it is launched with one count and type of vCPUs.
type Variant struct {
	Position    int // in the release, from 0, the default; set by the store
	VCPUs       int
	VCPUType    string   // such as EPYC-Milan
	Signature   uint32   // CPUID signature of the type
	Measurement [48]byte // the launch digest
	IDBlock     []byte   // IDBlockSize bytes
	IDAuth      []byte   // IDAuthSize bytes
}

// The error wraps ErrInvalid.
func checkVariants(variants []Variant) error {
	if len(variants) == 0 || len(variants) > MaxVariants {
		return invalidf("%d variants, want 1 to %d", len(variants), MaxVariants)
	}
	type shape struct {
		count int
		name  string
	}
	seen := map[shape]bool{}
	for _, v := range variants {
		if v.VCPUs < 1 || v.VCPUType == "" || len(v.IDBlock) != IDBlockSize || len(v.IDAuth) != IDAuthSize {
			return invalidf("variant %dx%.20q is incomplete", v.VCPUs, v.VCPUType)
		}
		if err := checkText("vCPU type", v.VCPUType, maxVCPUType); err != nil {
			return err
		}
		if seen[shape{v.VCPUs, v.VCPUType}] {
			return invalidf("variant %dx%s is given twice", v.VCPUs, v.VCPUType)
		}
		seen[shape{v.VCPUs, v.VCPUType}] = true
	}
	return nil
}

// numbered returns a copy of the variants with their positions.
func numbered(variants []Variant) []Variant {
	variants = slices.Clone(variants)
	for i := range variants {
		variants[i].Position = i
	}
	return variants
}

// hashVariants is the SHA-256 over what decisions rest on of variants. ID blocks are
// signed by the image's keys, which whoever uses them checks.
func hashVariants(variants []Variant) [32]byte {
	h := sha256.New()
	hashValues(h, "snpguard/v1/variants", len(variants))
	for _, v := range variants {
		hashValues(h, v.Position, v.VCPUs, v.VCPUType, int64(v.Signature), v.Measurement[:])
	}
	return [32]byte(h.Sum(nil))
}

// checkVariants wants all variants of the release, as they were registered. The
// error wraps ErrTampered.
func (r *Release) checkVariants() error {
	if hashVariants(r.Variants) != r.VariantsHash {
		return fmt.Errorf("table variants of the database: %w", ErrTampered)
	}
	return nil
}

func insertVariants(ctx context.Context, q querier, release wire.UUID, variants []Variant) error {
	for _, run := range runs(variants) {
		var rows [][]any
		for _, v := range run {
			rows = append(rows, []any{
				release[:], v.Position, v.VCPUs, v.VCPUType, int64(v.Signature), v.Measurement[:], v.IDBlock, v.IDAuth,
			})
		}
		var b builder
		b.add(`INSERT INTO variants (release_id, position, vcpus, vcpu_type, signature, measurement, id_block, id_auth) VALUES `)
		b.rows(rows)
		if _, err := q.ExecContext(ctx, b.text.String(), b.args...); err != nil {
			return err
		}
	}
	return nil
}

func loadVariants(ctx context.Context, q querier, release wire.UUID) ([]Variant, error) {
	return collect(ctx, q, query{`SELECT position, vcpus, vcpu_type, signature, measurement, id_block, id_auth
		FROM variants WHERE release_id = $1 ORDER BY position`, []any{release[:]}}, func(row scanner) (Variant, error) {
		v := Variant{IDBlock: make([]byte, IDBlockSize), IDAuth: make([]byte, IDAuthSize)}
		err := row.Scan(&v.Position, &v.VCPUs, &v.VCPUType, &v.Signature, exactly(v.Measurement[:]), exactly(v.IDBlock), exactly(v.IDAuth))
		return v, err
	})
}
