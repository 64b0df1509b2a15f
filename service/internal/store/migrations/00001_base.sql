-- Hashes and identifiers are raw bytes, times microseconds since 1970 UTC (0: none).
-- Secrets are sealed under the key-encryption key. Rows with a mac are authenticated
-- under a key that is derived from it: HMAC-SHA-256 over the whole row.

-- +goose Up

-- A row here is a lock on an uploaded file: whoever starts or ends its use holds it.
CREATE TABLE artifacts (
	sha256  BYTEA  NOT NULL PRIMARY KEY,
	used_at BIGINT NOT NULL
);

CREATE TABLE images (
	id                   BYTEA   NOT NULL PRIMARY KEY,
	name                 TEXT    NOT NULL UNIQUE,
	name_folded          TEXT    NOT NULL,
	enabled              BOOLEAN NOT NULL,
	simulated            BOOLEAN NOT NULL,
	created_at           BIGINT  NOT NULL,
	id_key_digest        BYTEA   NOT NULL,
	author_key_digest    BYTEA   NOT NULL,
	id_key_sealed        BYTEA   NOT NULL,
	author_key_sealed    BYTEA   NOT NULL,
	unsealing_key_sealed BYTEA   NOT NULL,
	unsealing_key_hash   BYTEA   NOT NULL UNIQUE,
	policy               BYTEA   NOT NULL,
	policy_revision      BIGINT  NOT NULL,
	max_launches         BIGINT  NOT NULL,
	launch_period        BIGINT  NOT NULL,
	keep_releases        BIGINT  NOT NULL,
	instances_mode       TEXT    NOT NULL,
	instances_limit      BIGINT  NOT NULL,
	generation_mode      TEXT    NOT NULL,
	mac                  BYTEA   NOT NULL,
	UNIQUE (id_key_digest, author_key_digest)
);
-- A search for a part of a name reads this index alone.
CREATE INDEX images_search ON images (created_at, id, enabled, name_folded);
-- A list by name reads this one.
CREATE INDEX images_by_name ON images (name_folded, id, enabled);

CREATE TABLE image_labels (
	image_id BYTEA NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	label    TEXT  NOT NULL,
	content  TEXT  NOT NULL,
	PRIMARY KEY (image_id, label)
);
CREATE INDEX image_labels_content ON image_labels (label, content, image_id);

-- Images that were deleted: neither their IDs nor their keys come back.
CREATE TABLE tombstones (
	image_id           BYTEA  NOT NULL PRIMARY KEY,
	unsealing_key_hash BYTEA  NOT NULL UNIQUE,
	name               TEXT   NOT NULL,
	deleted_at         BIGINT NOT NULL,
	mac                BYTEA  NOT NULL
);

-- VMs of images. sealed is zeros while an instance is new, recovery_sha256 without a
-- recovery. granted_* is the latest launch that was given keys, committed_* the one
-- that committed the generation; zeros for none.
CREATE TABLE instances (
	id                   BYTEA   NOT NULL PRIMARY KEY,
	image_id             BYTEA   NOT NULL REFERENCES images (id),
	name                 TEXT    NOT NULL UNIQUE,
	enabled              BOOLEAN NOT NULL,
	auto                 BOOLEAN NOT NULL,
	created_at           BIGINT  NOT NULL,
	created_by           TEXT    NOT NULL,
	state                TEXT    NOT NULL,
	sealed               BYTEA   NOT NULL,
	share_sealed         BYTEA   NOT NULL,
	recovery_sha256      BYTEA   NOT NULL,
	granted_report_id    BYTEA   NOT NULL,
	granted_boot_key     BYTEA   NOT NULL,
	granted_release      BYTEA   NOT NULL,
	granted_generation   BIGINT  NOT NULL,
	granted_at           BIGINT  NOT NULL,
	generation           BIGINT  NOT NULL,
	committed_report_id  BYTEA   NOT NULL,
	committed_boot_key   BYTEA   NOT NULL,
	committed_release    BYTEA   NOT NULL,
	committed_generation BIGINT  NOT NULL,
	committed_at         BIGINT  NOT NULL,
	ready_at             BIGINT  NOT NULL,
	restore_generation   BIGINT  NOT NULL,
	restore_until        BIGINT  NOT NULL,
	deleted_at           BIGINT  NOT NULL,
	mac                  BYTEA   NOT NULL,
	recovery             BYTEA -- is large, and last: lists do not read it
);
-- Lists, searches for a part of a name, and counts read one of these alone.
CREATE INDEX instances_search ON instances (created_at, id, name) WHERE deleted_at = 0;
CREATE INDEX instances_state ON instances (state, created_at, id, enabled, name) WHERE deleted_at = 0;
CREATE INDEX instances_image ON instances (image_id, created_at, id, name) WHERE deleted_at = 0;
CREATE INDEX instances_image_state ON instances (image_id, state, created_at, id, enabled, name) WHERE deleted_at = 0;
CREATE INDEX instances_auto ON instances (image_id, auto) WHERE auto AND deleted_at = 0; -- against the image's limit
CREATE INDEX instances_deleted ON instances (deleted_at, id) WHERE deleted_at > 0;
CREATE INDEX instances_release ON instances (granted_release) WHERE enabled AND deleted_at = 0; -- whom retiring a release locks out
CREATE INDEX instances_of ON instances (image_id, deleted_at); -- deleted ones too

-- What does not come back: IDs of instances that are gone, sealed is zeros if such a
-- one was never claimed, and what instances were claimed by before they were reset.
CREATE TABLE instance_tombstones (
	id          BYTEA  NOT NULL PRIMARY KEY,
	instance_id BYTEA  NOT NULL,
	image_id    BYTEA  NOT NULL,
	sealed      BYTEA  NOT NULL,
	deleted_at  BIGINT NOT NULL,
	mac         BYTEA  NOT NULL,
	UNIQUE (instance_id, sealed)
);
CREATE INDEX instance_tombstones_sealed ON instance_tombstones (sealed);

-- policy is empty where the image's is enough, provenance where the registrant said
-- nothing. approved_at is 0 until it was approved, and stays when it is retired.
CREATE TABLE releases (
	id              BYTEA   NOT NULL PRIMARY KEY,
	image_id        BYTEA   NOT NULL REFERENCES images (id),
	state           TEXT    NOT NULL,
	proposed_by     TEXT    NOT NULL,
	approved_at     BIGINT  NOT NULL,
	approved_by     TEXT    NOT NULL,
	verified_by     TEXT    NOT NULL,
	decided_at      BIGINT  NOT NULL,
	decided_by      TEXT    NOT NULL,
	reason          TEXT    NOT NULL,
	created_at      BIGINT  NOT NULL,
	cmdline         TEXT    NOT NULL,
	firmware_sha256 BYTEA   NOT NULL REFERENCES artifacts (sha256),
	firmware_size   BIGINT  NOT NULL,
	kernel_sha256   BYTEA   NOT NULL REFERENCES artifacts (sha256),
	kernel_size     BIGINT  NOT NULL,
	initrd_sha256   BYTEA            REFERENCES artifacts (sha256),
	initrd_size     BIGINT  NOT NULL,
	guest_policy    BIGINT  NOT NULL,
	guest_svn       BIGINT  NOT NULL,
	policy          BYTEA   NOT NULL,
	policy_revision BIGINT  NOT NULL,
	findings        BYTEA   NOT NULL,
	provenance      BYTEA   NOT NULL,
	variants_hash   BYTEA   NOT NULL,
	mac             BYTEA   NOT NULL
);
CREATE INDEX releases_image ON releases (image_id, created_at, id);
CREATE INDEX releases_firmware ON releases (firmware_sha256);
CREATE INDEX releases_kernel ON releases (kernel_sha256);
CREATE INDEX releases_initrd ON releases (initrd_sha256);

-- Names for images and releases. release_id is NULL for the newest approved one.
CREATE TABLE channels (
	id         BYTEA  NOT NULL PRIMARY KEY,
	name       TEXT   NOT NULL UNIQUE,
	image_id   BYTEA  NOT NULL REFERENCES images (id),
	release_id BYTEA           REFERENCES releases (id),
	changed_at BIGINT NOT NULL,
	changed_by TEXT   NOT NULL,
	mac        BYTEA  NOT NULL
);
CREATE INDEX channels_image ON channels (image_id);
CREATE INDEX channels_release ON channels (release_id);

-- Who has recomputed which content of a release.
CREATE TABLE verifications (
	id             BYTEA  NOT NULL PRIMARY KEY,
	release_id     BYTEA  NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
	content_sha256 BYTEA  NOT NULL,
	verified_by    TEXT   NOT NULL,
	verified_at    BIGINT NOT NULL,
	agent          TEXT   NOT NULL,
	packages       BYTEA  NOT NULL,
	mac            BYTEA  NOT NULL,
	UNIQUE (release_id, content_sha256, verified_by)
);

-- What a decision rests on is authenticated by the release's variants_hash.
CREATE TABLE variants (
	release_id  BYTEA  NOT NULL REFERENCES releases (id) ON DELETE CASCADE,
	position    BIGINT NOT NULL,
	vcpus       BIGINT NOT NULL,
	vcpu_type   TEXT   NOT NULL,
	signature   BIGINT NOT NULL,
	measurement BYTEA  NOT NULL,
	id_block    BYTEA  NOT NULL,
	id_auth     BYTEA  NOT NULL,
	PRIMARY KEY (release_id, position),
	UNIQUE (release_id, vcpus, vcpu_type)
);

-- hash is an HMAC of the secret. The mac leaves last_used_at out.
CREATE TABLE tokens (
	id           BYTEA  NOT NULL PRIMARY KEY,
	name         TEXT   NOT NULL,
	role         TEXT   NOT NULL,
	hash         BYTEA  NOT NULL UNIQUE,
	created_at   BIGINT NOT NULL,
	expires_at   BIGINT NOT NULL,
	revoked_at   BIGINT NOT NULL,
	last_used_at BIGINT NOT NULL DEFAULT 0,
	mac          BYTEA  NOT NULL
);
CREATE INDEX tokens_age ON tokens (created_at, id);

CREATE TABLE sessions (
	hash       BYTEA  NOT NULL PRIMARY KEY,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	mac        BYTEA  NOT NULL
);

-- Wrong passwords by who sent them; the empty origin counts all.
CREATE TABLE login_failures (
	origin       TEXT   NOT NULL PRIMARY KEY,
	failures     BIGINT NOT NULL,
	window_start BIGINT NOT NULL
);

CREATE TABLE secrets (
	name   TEXT  NOT NULL PRIMARY KEY,
	sealed BYTEA NOT NULL
);

CREATE TABLE settings (
	name    TEXT  NOT NULL PRIMARY KEY,
	content BYTEA NOT NULL
);

-- The body is what was hashed; the columns after it only find it.
CREATE TABLE audit (
	seq         BIGINT NOT NULL PRIMARY KEY,
	hash        BYTEA  NOT NULL,
	body        BYTEA  NOT NULL,
	recorded_at BIGINT NOT NULL,
	kind        TEXT   NOT NULL,
	outcome     TEXT   NOT NULL,
	reason      TEXT   NOT NULL,
	request_id  TEXT   NOT NULL,
	image_id    BYTEA,
	chip_id     BYTEA,
	instance_id BYTEA
);
CREATE INDEX audit_recorded ON audit (recorded_at);
CREATE INDEX audit_outcome ON audit (outcome, seq);
CREATE INDEX audit_reason ON audit (reason, seq);
CREATE INDEX audit_request ON audit (request_id);
CREATE INDEX audit_image ON audit (image_id, seq);
CREATE INDEX audit_instance ON audit (instance_id, seq);
CREATE INDEX audit_chip ON audit (chip_id, seq);
CREATE INDEX audit_granted_chip ON audit (chip_id) WHERE outcome = 'granted'; -- which chips have proven genuine
CREATE INDEX audit_kind ON audit (kind, seq);
CREATE INDEX audit_kind_outcome ON audit (kind, outcome, seq);
CREATE INDEX audit_image_outcome ON audit (image_id, outcome, seq);

-- The one row is the end of the chain, and the lock under which it grows. row_sum is a
-- sum over all authenticated rows, hidden, and mac covers it with the end; both are
-- NULL before the first of them.
CREATE TABLE audit_head (
	id      BIGINT NOT NULL PRIMARY KEY,
	seq     BIGINT NOT NULL,
	hash    BYTEA,
	row_sum BYTEA,
	mac     BYTEA
);
INSERT INTO audit_head (id, seq) VALUES (1, 0);

-- Unlocks by the hour since 1970 UTC in which they were recorded. They are for
-- charts: what happened is in the log.
CREATE TABLE unlock_counts (
	hour    BIGINT NOT NULL,
	outcome TEXT   NOT NULL,
	reason  TEXT   NOT NULL,
	records BIGINT NOT NULL,
	PRIMARY KEY (hour, outcome, reason)
);

CREATE TABLE nonces (
	hash       BYTEA  NOT NULL PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
CREATE INDEX nonces_expiry ON nonces (expires_at);

-- Which launches have been given their key, and under which key of their own.
CREATE TABLE grants (
	report_id  BYTEA  NOT NULL PRIMARY KEY,
	key_hash   BYTEA  NOT NULL,
	release_id BYTEA  NOT NULL,
	image_id   BYTEA  NOT NULL,
	granted_at BIGINT NOT NULL,
	seq        BIGINT NOT NULL
);
CREATE INDEX grants_image ON grants (image_id, granted_at);
CREATE INDEX grants_release ON grants (release_id, granted_at); -- whom retiring a release locks out

-- What running guests last said, and their reports. It is shown to people and decides
-- nothing. failed_id is zeros or the release that was tried and did not come up,
-- confirmed_id zeros or the last one that did.
CREATE TABLE machines (
	image_id     BYTEA  NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	machine      BYTEA  NOT NULL,
	seen_at      BIGINT NOT NULL,
	release_id   BYTEA  NOT NULL,
	running      TEXT   NOT NULL,
	failed_id    BYTEA  NOT NULL,
	confirmed_id BYTEA  NOT NULL,
	confirmed_at BIGINT NOT NULL,
	kernels_hash BYTEA  NOT NULL,
	PRIMARY KEY (image_id, machine)
);
CREATE INDEX machines_seen ON machines (image_id, seen_at, machine);

-- The kernels that are installed there. newer: than the one that runs, and with modules.
CREATE TABLE machine_kernels (
	image_id BYTEA   NOT NULL,
	machine  BYTEA   NOT NULL,
	position BIGINT  NOT NULL,
	kernel   TEXT    NOT NULL,
	sha256   BYTEA   NOT NULL,
	newer    BOOLEAN NOT NULL,
	PRIMARY KEY (image_id, machine, position),
	FOREIGN KEY (image_id, machine) REFERENCES machines (image_id, machine) ON DELETE CASCADE
);
CREATE INDEX machine_kernels_newer ON machine_kernels (image_id, newer, kernel, sha256);

CREATE TABLE replicas (
	id         BYTEA  NOT NULL PRIMARY KEY,
	name       TEXT   NOT NULL,
	version    TEXT   NOT NULL,
	started_at BIGINT NOT NULL,
	seen_at    BIGINT NOT NULL
);

-- Uploaded files in the database, for replicas that share nothing else. sha256 is
-- NULL while a file comes in, and again while it is being deleted.
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

-- Answers of AMD's KDS. All of them are public and checked again when read.
CREATE TABLE kds_cache (
	name       TEXT   NOT NULL PRIMARY KEY,
	content    BYTEA  NOT NULL,
	fetched_at BIGINT NOT NULL,
	chip_id    BYTEA -- of a VCEK
);
CREATE INDEX kds_cache_age ON kds_cache (fetched_at, name);
CREATE INDEX kds_cache_chip ON kds_cache (chip_id);
