-- name: weights
-- How many requests of a model each quarter of an hour has, so that work can be cut evenly.
SELECT b.bucket, sum(b.requests) AS requests
FROM spend_buckets AS b JOIN series AS s ON s.id = b.series_id
WHERE lower(s.model) = lower(CAST(:model AS text))
  AND (CAST(:provider AS text) IS NULL OR lower(s.provider) = lower(CAST(:provider AS text)))
  AND b.bucket > CAST(:since AS timestamptz) - interval '15 minutes' AND b.bucket < :until
GROUP BY 1 HAVING sum(b.requests) > 0 ORDER BY 1

-- name: entries
-- A model's requests of a stretch of time, each with its adjustments; columns as adjustments.find.
SELECT l.id, l.started_at, l.provider, l.model, l.attribution_id, l.status, l.price_version_id,
  l.cost_usd, l.service_tier, l.gateway_cost_usd, l.provider_cost_usd,
  l.input_tokens + j.input_tokens AS input_tokens,
  l.output_tokens + j.output_tokens AS output_tokens,
  l.cache_read_tokens + j.cache_read_tokens AS cache_read_tokens,
  l.cache_write_tokens + j.cache_write_tokens AS cache_write_tokens,
  l.cache_write_1h_tokens + j.cache_write_1h_tokens AS cache_write_1h_tokens,
  l.reasoning_tokens + j.reasoning_tokens AS reasoning_tokens,
  l.audio_input_tokens + j.audio_input_tokens AS audio_input_tokens,
  l.audio_output_tokens + j.audio_output_tokens AS audio_output_tokens,
  j.versions, j.costs, j.unpriced
FROM cost_logs AS l
CROSS JOIN LATERAL (
  SELECT array_agg(price_version_id ORDER BY id) AS versions,
    array_agg(coalesce(cost_usd, 0) ORDER BY id) AS costs,
    array_agg(unpriced ORDER BY id) AS unpriced,
    CAST(coalesce(sum(input_tokens), 0) AS bigint) AS input_tokens,
    CAST(coalesce(sum(output_tokens), 0) AS bigint) AS output_tokens,
    CAST(coalesce(sum(cache_read_tokens), 0) AS bigint) AS cache_read_tokens,
    CAST(coalesce(sum(cache_write_tokens), 0) AS bigint) AS cache_write_tokens,
    CAST(coalesce(sum(cache_write_1h_tokens), 0) AS bigint) AS cache_write_1h_tokens,
    CAST(coalesce(sum(reasoning_tokens), 0) AS bigint) AS reasoning_tokens,
    CAST(coalesce(sum(audio_input_tokens), 0) AS bigint) AS audio_input_tokens,
    CAST(coalesce(sum(audio_output_tokens), 0) AS bigint) AS audio_output_tokens
  FROM cost_logs WHERE adjusts_id = l.id AND started_at = l.started_at
) AS j
WHERE l.adjusts_id IS NULL AND l.started_at >= :since AND l.started_at < :until
  AND lower(l.model) = lower(CAST(:model AS text))
  AND (CAST(:provider AS text) IS NULL OR lower(l.provider) = lower(CAST(:provider AS text)))

-- name: sealed
-- What of a model lies in sealed months, by month and provider.
SELECT CAST(date_trunc('month', b.bucket AT TIME ZONE 'UTC') AS date) AS month, s.provider,
  CAST(sum(b.requests) AS bigint) AS requests, sum(b.total_cost) AS cost
FROM sealed_buckets AS b JOIN series AS s ON s.id = b.series_id
WHERE lower(s.model) = lower(CAST(:model AS text))
  AND (CAST(:provider AS text) IS NULL OR lower(s.provider) = lower(CAST(:provider AS text)))
  AND b.bucket > CAST(:since AS timestamptz) - interval '15 minutes' AND b.bucket < :until
GROUP BY 1, 2 HAVING sum(b.requests) > 0 ORDER BY 1, 2

-- name: versions
-- Where the costs of these price versions are from.
SELECT id, source, version, assumption FROM price_versions
WHERE id = ANY(CAST(:versions AS integer[]))

-- name: open
-- A new run, with prices as they are known now unless said otherwise.
INSERT INTO repricings (by, provider, model, since, until, known_at)
VALUES (:by, :provider, :model, :since, :until,
  coalesce(CAST(:known_at AS timestamptz), clock_timestamp()))
RETURNING id

-- name: now
-- The time of the server that says since when a price is known.
SELECT clock_timestamp()

-- name: interrupted
-- The newest run of this kind that did not end; the same command goes on with it.
SELECT id FROM repricings
WHERE finished_at IS NULL AND undone_at IS NULL AND lower(model) = lower(CAST(:model AS text))
  AND lower(provider) IS NOT DISTINCT FROM lower(CAST(:provider AS text))
  AND since = :since AND (CAST(:until AS timestamptz) IS NULL OR until = :until)
  AND (CAST(:known_at AS timestamptz) IS NULL OR known_at = :known_at)
ORDER BY id DESC LIMIT 1

-- name: add
-- What a portion of a run wrote.
UPDATE repricings SET rows = rows + :rows, delta = delta + :delta, unpriced = unpriced + :unpriced,
  first_id = least(first_id, :first_id), last_id = greatest(last_id, :last_id)
WHERE id = :id

-- name: finish
-- The run has been through its whole time.
UPDATE repricings SET finished_at = clock_timestamp() WHERE id = :id AND finished_at IS NULL

-- name: runs
-- Every run, the newest first.
SELECT id, at, by, provider, model, since, until, known_at, rows, delta, unpriced, first_id, last_id,
  finished_at, undone_at, undone_by, undone_rows, kept_rows
FROM repricings WHERE CAST(:id AS integer) IS NULL OR id = :id ORDER BY id DESC

-- name: undo_versions
-- The price versions of a run's adjustments.
SELECT id, source, version, assumption FROM price_versions
WHERE source = 'reprice' AND version = CAST(:version AS text)

-- name: left
-- How many of a run's adjustments between two ledger ids are not taken back.
WITH pairs AS (
  SELECT * FROM unnest(CAST(:versions AS integer[]), CAST(:undo_versions AS integer[]))
    AS p (version, undo_version)
),
own AS (
  SELECT l.id, l.adjusts_id, l.started_at FROM cost_logs AS l
  JOIN pairs AS p ON p.version = l.price_version_id
  WHERE l.id >= :low AND l.id <= :high AND l.adjusts_id IS NOT NULL
    AND l.started_at >= :since AND l.started_at < :until
    AND NOT EXISTS (
      SELECT FROM cost_logs AS u WHERE u.adjusts_id = l.adjusts_id
        AND u.started_at = l.started_at AND u.price_version_id = p.undo_version
    )
)
SELECT count(*) FROM own

-- name: later
-- What else has changed the requests of a run's adjustments between two ledger ids since then,
-- unless it has been taken back: where it is from, and how many requests.
WITH pairs AS (
  SELECT * FROM unnest(CAST(:versions AS integer[]), CAST(:undo_versions AS integer[]))
    AS p (version, undo_version)
),
own AS (
  SELECT l.id, l.adjusts_id, l.started_at FROM cost_logs AS l
  JOIN pairs AS p ON p.version = l.price_version_id
  WHERE l.id >= :low AND l.id <= :high AND l.adjusts_id IS NOT NULL
    AND l.started_at >= :since AND l.started_at < :until
    AND NOT EXISTS (
      SELECT FROM cost_logs AS u WHERE u.adjusts_id = l.adjusts_id
        AND u.started_at = l.started_at AND u.price_version_id = p.undo_version
    )
),
changed AS (
  SELECT o.id, array_agg(a.price_version_id) AS versions
  FROM own AS o JOIN cost_logs AS a ON a.adjusts_id = o.adjusts_id AND a.started_at = o.started_at
    AND a.id > o.id
    AND a.price_version_id <> ALL (CAST(:versions AS integer[]) || CAST(:undo_versions AS integer[]))
  GROUP BY o.id
  HAVING (coalesce(sum(a.cost_usd), 0), sum(a.unpriced), sum(a.input_tokens),
    sum(a.output_tokens), sum(a.cache_read_tokens), sum(a.cache_write_tokens),
    sum(a.cache_write_1h_tokens), sum(a.reasoning_tokens), sum(a.audio_input_tokens),
    sum(a.audio_output_tokens)) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
)
SELECT v.source, CASE WHEN v.source LIKE 'reprice%' THEN v.version ELSE '' END AS version,
  count(DISTINCT c.id) AS rows
FROM changed AS c CROSS JOIN unnest(c.versions) AS u (id) JOIN price_versions AS v ON v.id = u.id
GROUP BY 1, 2 ORDER BY 1, 2

-- name: take_back
-- Takes back a run's adjustments between two ledger ids, but for those of requests that somebody
-- else has changed since; once each.
WITH pairs AS (
  SELECT * FROM unnest(CAST(:versions AS integer[]), CAST(:undo_versions AS integer[]))
    AS p (version, undo_version)
),
own AS (
  SELECT l.*, p.undo_version FROM cost_logs AS l
  JOIN pairs AS p ON p.version = l.price_version_id
  WHERE l.id >= :low AND l.id <= :high AND l.adjusts_id IS NOT NULL
    AND l.started_at >= :since AND l.started_at < :until
    AND NOT EXISTS (
      SELECT FROM cost_logs AS u WHERE u.adjusts_id = l.adjusts_id
        AND u.started_at = l.started_at AND u.price_version_id = p.undo_version
    )
),
back AS (
  INSERT INTO cost_logs (adjusts_id, started_at, provider, model, attribution_id, status,
    price_version_id, unpriced, cost_usd, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens,
    audio_output_tokens)
  SELECT adjusts_id, started_at, provider, model, attribution_id, status, undo_version,
    -unpriced, -cost_usd, -input_tokens, -output_tokens, -cache_read_tokens,
    -cache_write_tokens, -cache_write_1h_tokens, -reasoning_tokens, -audio_input_tokens,
    -audio_output_tokens
  FROM own AS o
  WHERE (0, 0, 0, 0, 0, 0, 0, 0, 0, 0) = (
    SELECT coalesce(sum(a.cost_usd), 0), coalesce(sum(a.unpriced), 0),
      coalesce(sum(a.input_tokens), 0), coalesce(sum(a.output_tokens), 0),
      coalesce(sum(a.cache_read_tokens), 0), coalesce(sum(a.cache_write_tokens), 0),
      coalesce(sum(a.cache_write_1h_tokens), 0), coalesce(sum(a.reasoning_tokens), 0),
      coalesce(sum(a.audio_input_tokens), 0), coalesce(sum(a.audio_output_tokens), 0)
    FROM cost_logs AS a
    WHERE a.adjusts_id = o.adjusts_id AND a.started_at = o.started_at AND a.id > o.id
      AND a.price_version_id
        <> ALL (CAST(:versions AS integer[]) || CAST(:undo_versions AS integer[]))
  )
  RETURNING cost_usd
)
SELECT count(*) AS rows, coalesce(sum(cost_usd), 0) AS delta FROM back

-- name: undone
-- How far the taking back of a run has come.
UPDATE repricings SET undone_rows = undone_rows + :rows WHERE id = :id

-- name: close
-- The run is taken back, but for `kept` adjustments.
UPDATE repricings SET undone_at = clock_timestamp(), undone_by = :by, kept_rows = :kept
WHERE id = :id
