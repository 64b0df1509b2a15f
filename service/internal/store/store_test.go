package store_test

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds/cachetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// cluster is the PostgreSQL of these tests.
var cluster storetest.Cluster

func TestMain(m *testing.M) {
	if storetest.WriterMain() {
		return
	}
	defer cluster.Stop()
	m.Run()
}

func newSQLite(t *testing.T) storetest.Database   { return storetest.SQLite(t) }
func newPostgres(t *testing.T) storetest.Database { return storetest.Postgres(t, &cluster) }

func TestSQLite(t *testing.T)   { storetest.Run(t, newSQLite) }
func TestPostgres(t *testing.T) { storetest.Run(t, newPostgres) }

func TestKDSCache(t *testing.T) {
	for name, newDatabase := range map[string]func(*testing.T) storetest.Database{"sqlite": newSQLite, "postgres": newPostgres} {
		t.Run(name, func(t *testing.T) {
			cachetest.Run(t, func(t *testing.T) (kds.Cache, func() kds.Cache) {
				d := newDatabase(t)
				return d.Open(t).KDSCache(), func() kds.Cache { return d.Open(t).KDSCache() }
			})
		})
	}
}
