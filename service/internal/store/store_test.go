package store_test

import (
	"testing"

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

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database { return storetest.SQLite(t) })
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database { return storetest.Postgres(t, &cluster) })
}
