-- name: previous
-- The newest tick, and the cluster that this server is now.
SELECT t.id, t.system_identifier, t.fence_id, here.system_identifier AS current_identifier
FROM (SELECT system_identifier FROM pg_control_system()) AS here
LEFT JOIN LATERAL (SELECT * FROM ticks ORDER BY id DESC LIMIT 1) AS t ON true

-- name: genesis
-- The tick before the first one, in which no row is visible.
INSERT INTO ticks (snapshot, system_identifier) VALUES (CAST('1:1:' AS txid_snapshot), :system)
RETURNING id

-- name: insert
-- A new tick. Run on its own after the lock: its snapshot must be younger than every earlier one.
INSERT INTO ticks (snapshot, system_identifier, fence_id)
VALUES (txid_current_snapshot(), :system, :fence) RETURNING id

-- name: window
-- Which transactions lie between two ticks: those from `after` up to `before` that the later
-- one shows (all below `settled`), and those in flight at the earlier one that have `ended`.
SELECT earlier.system_identifier = later.system_identifier
    AND earlier.fence_id = later.fence_id AS same_cluster,
  later.fence_id AS fence,
  txid_snapshot_xmax(earlier.snapshot) AS after,
  txid_snapshot_xmax(later.snapshot) AS before,
  txid_snapshot_xmin(later.snapshot) AS settled,
  CAST(later.snapshot AS text) AS snapshot,
  ARRAY(
    SELECT txid FROM txid_snapshot_xip(earlier.snapshot) AS txid
    WHERE txid_visible_in_snapshot(txid, later.snapshot)
  ) AS ended
FROM ticks AS earlier, ticks AS later
WHERE earlier.id = :earlier AND later.id = :later

-- name: news
-- What a tick brought, by provider. This is the only scan of new rows that all shards share; it
-- reads no amounts.
SELECT provider, count(*) AS rows, min(id) AS first_id, max(id) AS last_id,
  min(started_at) AS first_start, max(started_at) AS last_start
FROM cost_logs
WHERE id > :fence AND (
  (txid >= :after AND txid < :before
    AND (txid < :settled OR txid_visible_in_snapshot(txid, CAST(:snapshot AS txid_snapshot))))
  OR txid = ANY (CAST(:ended AS bigint[]))
)
GROUP BY provider ORDER BY provider

-- name: add_news
-- News of one tick for one shard.
INSERT INTO shard_news (tick_id, provider, rows, first_id, last_id)
VALUES (:tick, :provider, :rows, :first_id, :last_id)

-- name: prune_news
-- News that its shard has counted.
DELETE FROM shard_news AS n USING cursors AS c
WHERE n.provider = c.provider AND n.tick_id <= c.tick_id

-- name: prune_ticks
-- Ticks that nobody will ask for again: older than the newest, with no news and no cursor.
DELETE FROM ticks AS t
WHERE t.id < (SELECT max(id) FROM ticks)
  AND NOT EXISTS (SELECT FROM shard_news AS n WHERE n.tick_id = t.id)
  AND NOT EXISTS (SELECT FROM cursors AS c WHERE t.id IN (c.tick_id, c.cut_tick_id))

-- name: counted
-- The newest tick that every shard has counted, and its age in seconds; no row before the first.
-- While a shard is behind, ticks before its news may be pruned already; then it is an older one.
SELECT at, extract(epoch FROM clock_timestamp() - at) AS age FROM ticks
WHERE id < coalesce(
  (
    SELECT min(n.tick_id) FROM shard_news AS n JOIN cursors AS c ON c.provider = n.provider
    WHERE n.tick_id > c.tick_id
  ),
  (SELECT max(id) + 1 FROM ticks)
)
ORDER BY id DESC LIMIT 1

-- name: summarize
-- Brings the block range indexes of the months between two times up to date.
SELECT spendbeat_summarize(:first, :last)

-- name: hold_writers
-- Waits until every transaction that has written to the ledger has ended, and keeps others out.
LOCK TABLE cost_logs IN SHARE MODE

-- name: highest_id
-- No id above this one has been given to a row yet, since writers are held.
SELECT greatest((SELECT last_value FROM cost_logs_id_seq), (SELECT max(id) FROM cost_logs))

-- name: providers
-- Every provider that the ledger or the rollups know.
SELECT provider FROM cost_logs UNION SELECT provider FROM cursors
UNION SELECT provider FROM sealed_months ORDER BY 1
