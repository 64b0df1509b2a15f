package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// postgresURL is the URL of a PostgreSQL database, as libpq reads it.
type postgresURL string

func (postgresURL) backend() Backend { return Postgres }

// timeouts bound what one statement or one silent client may block; the URL may
// set others.
func timeouts() map[string]string {
	return map[string]string{
		"statement_timeout":                   "30s",
		"lock_timeout":                        "15s",
		"idle_in_transaction_session_timeout": "30s",
	}
}

func (u postgresURL) config() (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(string(u))
	if err != nil {
		// pgx leaves the password out of its message.
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "snpguard-service"
	}
	return config, nil
}

func (u postgresURL) connect(options Options) (write, read *sql.DB, err error) {
	config, err := u.config()
	if err != nil {
		return nil, nil, err
	}
	for name, value := range timeouts() {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(demandDurability))
	db.SetMaxOpenConns(options.MaxConns)
	db.SetMaxIdleConns(options.MaxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return db, db, nil
}

// demandDurability undoes a setting under which a commit returns before it is
// on the disk: a key would leave without its record.
func demandDurability(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

// migrationLock is the key of the advisory lock under which replicas that start
// together migrate one after the other: "snpguard" in ASCII.
const migrationLock int64 = 0x736e706775617264

func (u postgresURL) migrate(ctx context.Context) error {
	config, err := u.config()
	if err != nil {
		return err
	}
	// Migrations of large tables may take longer than the usual time-outs.
	config.RuntimeParams["statement_timeout"], config.RuntimeParams["lock_timeout"] = "0", "0"
	db := stdlib.OpenDB(*config)
	defer closing(db)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer closing(conn)
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("lock migrations: %w", err)
	}
	// The server gives the lock up with the connection.
	return migrate(ctx, db, goose.DialectPostgres)
}
