-- name: origin
-- Where this server's positions come from: another cluster, another timeline of it (a standby that
-- took over, a restore to a moment), another database or a table made anew has its own.
SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
  (SELECT oid FROM pg_database WHERE datname = current_database()),
  CAST(CAST('feed_entries' AS regclass) AS oid))

-- name: standing
-- How far the feed is numbered, where from, and whether entries wait for a position.
SELECT epoch, newest, origin, EXISTS (SELECT FROM feed_entries WHERE position IS NULL) AS waiting
FROM feed_state

-- name: hold
-- The one row that whoever gives positions holds until its commit.
SELECT epoch, newest, origin FROM feed_state FOR UPDATE

-- name: begin
-- The one row, where there is none.
INSERT INTO feed_state (epoch, origin) VALUES (:epoch, :origin) ON CONFLICT DO NOTHING

-- name: begin_anew
-- Another epoch, after everything that has a position.
UPDATE feed_state SET epoch = :epoch, origin = :origin,
  newest = greatest(newest, (SELECT coalesce(max(position), 0) FROM feed_entries))

-- name: number
-- The next positions for entries that are committed. Run on its own below the lock: whoever holds
-- it next sees these, so what commits later gets a later position, and no reader ever finds a hole.
WITH waiting AS MATERIALIZED (
  SELECT id FROM feed_entries WHERE position IS NULL ORDER BY id LIMIT :most FOR UPDATE
),
numbered AS MATERIALIZED (
  SELECT id, :newest + row_number() OVER (ORDER BY id) AS position FROM waiting
),
given AS (
  UPDATE feed_entries AS e SET position = n.position, numbered_at = clock_timestamp()
  FROM numbered AS n WHERE e.id = n.id
  RETURNING 1
)
UPDATE feed_state SET newest = :newest + (SELECT count(*) FROM given)
RETURNING newest

-- name: page
-- Entries after a position, in order.
SELECT position, kind, at, CAST(body AS text) AS body FROM feed_entries
WHERE position > :after ORDER BY position LIMIT :most

-- name: put
-- An entry; its position comes after the commit.
INSERT INTO feed_entries (kind, body) VALUES (:kind, CAST(:body AS jsonb))

-- name: put_alert
-- A change of an alert, as the alert is now, with the scope that decides who may see it.
INSERT INTO feed_entries (kind, body)
SELECT 'alert', jsonb_build_object('scope', v.scope, 'by', CAST(:by AS text), 'alert',
  jsonb_build_object('id', a.id, 'change', CAST(:change AS text), 'budget_id', a.budget_id,
    'budget', b.name, 'period', a.period_start, 'basis', a.basis, 'threshold', a.threshold,
    'line', CAST(trim_scale(a.line) AS text), 'severity', a.severity,
    'spend', CAST(trim_scale(a.spend) AS text), 'unpriced', a.unpriced,
    'limit', CAST(trim_scale(a.limit_dollars) AS text), 'state', a.state,
    'state_at', a.state_at, 'resolution', a.resolution))
FROM budget_alerts AS a JOIN budgets AS b ON b.id = a.budget_id
JOIN budget_versions AS v ON v.budget_id = a.budget_id AND v.version = a.version
WHERE a.id = CAST(:id AS integer)

-- name: prune
-- Positions given before a moment, and all but the newest so many: from the oldest on, so that what
-- stays has no hole. Run below the lock.
DELETE FROM feed_entries WHERE position < (
  SELECT greatest(newest - :most + 1, coalesce((
    SELECT e.position FROM feed_entries AS e
    WHERE e.position IS NOT NULL AND e.numbered_at >= CAST(:before AS timestamptz)
    ORDER BY e.position LIMIT 1
  ), newest + 1)) FROM feed_state
)

-- name: prune_waiting
-- The same of entries that nobody gave a position. Run below the lock.
DELETE FROM feed_entries WHERE position IS NULL AND (
  at < CAST(:before AS timestamptz) OR id <= (
    SELECT id FROM feed_entries WHERE position IS NULL ORDER BY id DESC OFFSET :most LIMIT 1
  )
)
