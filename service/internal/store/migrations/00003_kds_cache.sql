-- Answers of AMD's KDS. All of them are public and checked again when read.

-- +goose Up

CREATE TABLE kds_cache (
	name       TEXT   NOT NULL PRIMARY KEY,
	content    BYTEA  NOT NULL,
	fetched_at BIGINT NOT NULL
);
