-- What is seen at a glance, and what finds it among many.

-- +goose Up

-- Unlocks by the hour since 1970 UTC in which they were recorded. They are for
-- charts: what happened is in the log. counted is the record up to which they go.
-- It comes first, since it keeps others from adding records meanwhile.
ALTER TABLE audit_head ADD COLUMN counted BIGINT NOT NULL DEFAULT 0;
CREATE TABLE unlock_counts (
	hour    BIGINT NOT NULL,
	outcome TEXT   NOT NULL,
	reason  TEXT   NOT NULL,
	records BIGINT NOT NULL,
	PRIMARY KEY (hour, outcome, reason)
);
INSERT INTO unlock_counts (hour, outcome, reason, records)
	SELECT recorded_at / 3600000000, outcome, reason, COUNT(*) FROM audit WHERE kind = 'unlock' GROUP BY 1, 2, 3;
UPDATE audit_head SET counted = seq;

CREATE TABLE replicas (
	id         BYTEA  NOT NULL PRIMARY KEY,
	name       TEXT   NOT NULL,
	version    TEXT   NOT NULL,
	started_at BIGINT NOT NULL,
	seen_at    BIGINT NOT NULL
);

-- A search for a part of a name reads this index alone.
CREATE INDEX images_search ON images (created_at, id, enabled, name_folded);
DROP INDEX images_age;

CREATE INDEX audit_kind ON audit (kind, seq);
CREATE INDEX audit_kind_outcome ON audit (kind, outcome, seq);
CREATE INDEX audit_image_outcome ON audit (image_id, outcome, seq);
CREATE INDEX kds_cache_age ON kds_cache (fetched_at, name);
