package api_test

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// cluster is the PostgreSQL of these tests, started when one needs it.
var cluster storetest.Cluster

func TestMain(m *testing.M) {
	defer cluster.Stop()
	m.Run()
}
