-- name: open
-- The cursor of a provider seen for the first time: it starts where none of its rows is visible.
INSERT INTO cursors (provider, tick_id) VALUES (:provider, :tick) ON CONFLICT DO NOTHING

-- name: lagging
-- Shards that have something to count: news after their tick, or a batch that is cut.
SELECT c.provider FROM cursors AS c
WHERE c.cut_tick_id IS NOT NULL
  OR EXISTS (SELECT FROM shard_news AS n WHERE n.provider = c.provider AND n.tick_id > c.tick_id)
ORDER BY c.provider

-- name: take
-- The one cursor of a shard, locked; no row if another worker has it.
SELECT tick_id, cut_tick_id, cut_id FROM cursors WHERE provider = :provider
FOR UPDATE SKIP LOCKED

-- name: wait
-- The one cursor of a shard, locked, however long that takes.
SELECT tick_id, cut_tick_id, cut_id FROM cursors WHERE provider = :provider FOR UPDATE

-- name: news
-- What lies ahead of a shard, tick by tick.
SELECT tick_id, rows, first_id, last_id FROM shard_news
WHERE provider = :provider AND tick_id > :tick ORDER BY tick_id

-- name: move
-- Where the shard is after a batch, and what it has done in all.
UPDATE cursors SET tick_id = :tick, cut_tick_id = :cut_tick, cut_id = :cut_id,
  moved_at = clock_timestamp(), rows_total = rows_total + :rows,
  batches_total = batches_total + 1,
  seconds_total = seconds_total + :seconds
WHERE provider = :provider

-- name: reset
-- A shard whose rollups were recomputed at a tick.
UPDATE cursors SET tick_id = :tick, cut_tick_id = NULL, cut_id = NULL,
  moved_at = clock_timestamp() WHERE provider = :provider
