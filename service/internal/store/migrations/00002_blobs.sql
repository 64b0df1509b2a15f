-- Uploaded files in the database, for replicas that share nothing else.

-- +goose Up

-- sha256 is NULL while a file comes in, and again while it is being deleted.
CREATE TABLE blobs (
	id         BYTEA  NOT NULL PRIMARY KEY,
	sha256     BYTEA  UNIQUE,
	size       BIGINT NOT NULL,
	touched_at BIGINT NOT NULL
);

-- All chunks but the last are of one size.
CREATE TABLE blob_chunks (
	blob_id  BYTEA  NOT NULL REFERENCES blobs (id),
	position BIGINT NOT NULL,
	content  BYTEA  NOT NULL,
	PRIMARY KEY (blob_id, position)
);
