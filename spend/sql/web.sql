-- name: add_counts
-- Adds to the counts of what came in over HTTP; in one order, so that processes do not deadlock.
INSERT INTO ingest_counts AS c (counted, route, result, total)
SELECT n.counted, n.route, n.result, n.more
FROM jsonb_to_recordset(CAST(:counts AS jsonb))
  AS n (counted text, route text, result text, more bigint)
ORDER BY 1, 2, 3
ON CONFLICT (counted, route, result) DO UPDATE SET total = c.total + excluded.total

-- name: forget_spools
-- Drops gateways that have not been heard of for :days, where one of those in :said is new.
DELETE FROM gateway_spools
WHERE seen_at < now() - make_interval(days => CAST(:days AS integer))
  AND EXISTS (
    SELECT FROM jsonb_to_recordset(CAST(:said AS jsonb)) AS n (name text)
    WHERE NOT EXISTS (SELECT FROM gateway_spools AS known WHERE known.name = n.name)
  )

-- name: record_spools
-- The newest word of each gateway in :said; new names only while there are fewer than :most.
INSERT INTO gateway_spools AS s (name, waiting, dropped, oldest_seconds)
SELECT n.name, n.waiting, n.dropped, n.oldest
FROM (
  SELECT said.*, known.name IS NOT NULL AS is_known,
    row_number() OVER (PARTITION BY known.name IS NULL ORDER BY said.name) AS place
  FROM jsonb_to_recordset(CAST(:said AS jsonb))
    AS said (name text, waiting bigint, dropped bigint, oldest bigint)
  LEFT JOIN gateway_spools AS known ON known.name = said.name
) AS n
WHERE n.is_known OR n.place + (SELECT count(*) FROM gateway_spools) <= :most
ORDER BY n.name
ON CONFLICT (name) DO UPDATE SET waiting = excluded.waiting, dropped = excluded.dropped,
  oldest_seconds = excluded.oldest_seconds, seen_at = clock_timestamp()
