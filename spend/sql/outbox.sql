-- name: place
-- The next position of a lane. Its row stays locked until the commit, so positions are in the
-- order of commits and nobody decides about the lane's head meanwhile.
INSERT INTO outbox_lanes (lane) VALUES (CAST(:lane AS text))
ON CONFLICT (lane) DO UPDATE SET messages = outbox_lanes.messages + 1
RETURNING messages

-- name: put
-- Add a message; the first of its lane is due now, one to a channel that is off is dead.
INSERT INTO outbox
  (id, lane, position, channel_id, type, at, body, state, reason, next_at, ended_at)
SELECT CAST(:id AS text), CAST(:lane AS text), :position, c.id, CAST(:type AS text),
  CAST(:at AS timestamptz), CAST(:body AS jsonb),
  CASE WHEN c.state = 'active' THEN 'waiting' ELSE 'dead' END,
  CASE WHEN c.state = 'active' THEN NULL ELSE 'disabled' END,
  CASE WHEN c.state = 'active' AND NOT EXISTS (
    SELECT FROM outbox AS o WHERE o.lane = CAST(:lane AS text) AND o.state = 'waiting'
  ) THEN clock_timestamp() END,
  CASE WHEN c.state = 'active' THEN NULL ELSE clock_timestamp() END
FROM channels AS c WHERE c.id = :channel_id
RETURNING state

-- name: bury
-- Give up what waits for channels that are off; :channel_id 0 is all of them.
UPDATE outbox AS o SET state = 'dead', reason = 'disabled', next_at = NULL, rung_at = NULL,
  ended_at = clock_timestamp()
FROM channels AS c
WHERE c.id = o.channel_id AND c.state <> 'active' AND o.state = 'waiting'
  AND CAST(:channel_id AS integer) IN (0, c.id)

-- name: ring
-- Mark messages that are due and of which nobody was told lately, and return their lanes: at most
-- :most per channel, less those that it has already when :count is true; :channel_id 0 is all.
WITH due AS MATERIALIZED (
  SELECT found.id
  FROM channels AS c
  CROSS JOIN LATERAL (
    SELECT count(*) AS told FROM outbox AS o
    WHERE CAST(:count AS boolean) AND o.channel_id = c.id AND o.state = 'waiting'
      AND o.next_at <= clock_timestamp()
      AND o.rung_at > clock_timestamp() - make_interval(secs => CAST(:again AS float8))
  ) AS busy
  CROSS JOIN LATERAL (
    SELECT o.id FROM outbox AS o
    WHERE o.channel_id = c.id AND o.state = 'waiting' AND o.next_at <= clock_timestamp()
      AND (o.rung_at IS NULL
        OR o.rung_at <= clock_timestamp() - make_interval(secs => CAST(:again AS float8)))
    ORDER BY o.next_at LIMIT greatest(CAST(:most AS bigint) - busy.told, 0)
    FOR UPDATE SKIP LOCKED
  ) AS found
  WHERE c.state = 'active' AND CAST(:channel_id AS integer) IN (0, c.id)
)
UPDATE outbox AS o SET rung_at = clock_timestamp() FROM due WHERE o.id = due.id RETURNING o.lane

-- name: hold
-- Take a lane for this transaction, or be told that somebody has it. Takes no transaction number,
-- so a transaction that waits for an answer holds back neither vacuum nor the ticks.
SELECT pg_try_advisory_xact_lock(hashtextextended('outbox ' || CAST(:lane AS text), 0))

-- name: head
-- The first message that waits in a lane, if its time has come.
SELECT o.id, o.channel_id, o.type, o.at, o.body, o.attempts
FROM (
  SELECT * FROM outbox WHERE lane = CAST(:lane AS text) AND state = 'waiting'
  ORDER BY position LIMIT 1
) AS o
WHERE o.next_at <= clock_timestamp()

-- name: lock_lane
-- Keep others from adding to a lane, or from deciding about its head, until the commit.
SELECT messages FROM outbox_lanes WHERE lane = CAST(:lane AS text) FOR UPDATE

-- name: settle_lane
-- The first that waits in a lane is due now unless it has a time already; nothing behind it is.
UPDATE outbox AS o SET rung_at = NULL,
  next_at = CASE WHEN o.position = first.position THEN clock_timestamp() END
FROM (
  SELECT min(position) AS position FROM outbox
  WHERE lane = CAST(:lane AS text) AND state = 'waiting'
) AS first
WHERE o.lane = CAST(:lane AS text) AND o.state = 'waiting'
  AND (o.position = first.position) = (o.next_at IS NULL)

-- name: log
-- One attempt that ended.
INSERT INTO deliveries
  (message_id, channel_id, attempt, at, result, reason, status, seconds, answer)
VALUES (CAST(:id AS text), :channel_id, :attempt, CAST(:at AS timestamptz),
  CAST(:result AS text), CAST(:reason AS text), CAST(:status AS integer),
  CAST(:seconds AS float8), CAST(:answer AS text))

-- name: count
-- Count an attempt that ended, for as long as there are metrics.
INSERT INTO delivery_counts AS counted (channel_id, result, reason, attempts, seconds)
VALUES (:channel_id, CAST(:result AS text), CAST(:reason AS text), 1, CAST(:seconds AS float8))
ON CONFLICT (channel_id, result, reason) DO UPDATE
SET attempts = counted.attempts + 1, seconds = counted.seconds + excluded.seconds

-- name: delivered
-- Whatever became of the message meanwhile: it was taken.
UPDATE outbox SET state = 'delivered', reason = CAST(:reason AS text), attempts = attempts + 1,
  next_at = NULL, rung_at = NULL, ended_at = clock_timestamp()
WHERE id = CAST(:id AS text)

-- name: later
-- The next attempt, unless somebody gave the message up meanwhile.
UPDATE outbox SET reason = CAST(:reason AS text), attempts = attempts + 1, rung_at = NULL,
  next_at = clock_timestamp() + make_interval(secs => CAST(:pause AS float8))
WHERE id = CAST(:id AS text) AND state = 'waiting'

-- name: dead
-- Give a message up.
UPDATE outbox SET state = 'dead', reason = CAST(:reason AS text), attempts = attempts + 1,
  next_at = NULL, rung_at = NULL, ended_at = clock_timestamp()
WHERE id = CAST(:id AS text) AND state = 'waiting'

-- name: revive
-- Send a message again, from the first attempt on; what waits already goes on as it is.
UPDATE outbox AS o SET state = 'waiting', attempts = 0, reason = NULL, next_at = NULL,
  rung_at = NULL, ended_at = NULL
FROM channels AS c
WHERE o.id = CAST(:id AS text) AND o.state <> 'waiting' AND c.id = o.channel_id
  AND c.state = 'active'

-- name: headless
-- Lanes with messages of which none is due ever: there should be none.
SELECT DISTINCT o.lane FROM outbox AS o
WHERE o.state = 'waiting' AND o.next_at IS NULL AND NOT EXISTS (
  SELECT FROM outbox AS first
  WHERE first.lane = o.lane AND first.state = 'waiting' AND first.next_at IS NOT NULL
)

-- name: failing
-- Channels that took nothing for :days days though it was tried through :hours hours of them.
SELECT c.id, c.failing_since FROM channels AS c
WHERE c.state = 'active'
  AND c.failing_since <= now() - make_interval(days => CAST(:days AS integer))
  AND EXISTS (
    SELECT FROM deliveries AS d
    WHERE d.channel_id = c.id AND d.at >= greatest(c.failing_since,
      now() - make_interval(days => CAST(:days AS integer)))
    HAVING max(d.at) - min(d.at) >= make_interval(hours => CAST(:hours AS integer))
  )
ORDER BY c.id

-- name: prune_log
-- Forget attempts older than so many days.
DELETE FROM deliveries WHERE at < now() - make_interval(days => CAST(:days AS integer))

-- name: prune
-- Forget messages that ended more than so many days ago, with their attempts.
DELETE FROM outbox
WHERE state = CAST(:state AS text)
  AND ended_at < now() - make_interval(days => CAST(:days AS integer))

-- name: list
-- The newest messages, perhaps only of one state or channel ('' is all).
SELECT o.id, c.name AS channel, o.lane, o.position, o.type, o.at, o.state, o.reason, o.attempts,
  o.next_at, o.created_at, o.ended_at
FROM outbox AS o JOIN channels AS c ON c.id = o.channel_id
WHERE CAST(:state AS text) IN ('', o.state) AND CAST(:channel AS text) IN ('', c.name)
ORDER BY o.created_at DESC, o.id DESC LIMIT :limit

-- name: show
-- One message.
SELECT o.id, c.name AS channel, o.lane, o.position, o.type, o.at, o.state, o.reason, o.attempts,
  o.next_at, o.created_at, o.ended_at, o.body
FROM outbox AS o JOIN channels AS c ON c.id = o.channel_id WHERE o.id = CAST(:id AS text)

-- name: attempts
-- The log of one message, oldest first.
SELECT attempt, at, result, reason, status, seconds, answer FROM deliveries
WHERE message_id = CAST(:id AS text) ORDER BY id

-- name: dead_ids
-- Messages that were given up, in the order of their lanes.
SELECT o.id FROM outbox AS o JOIN channels AS c ON c.id = o.channel_id
WHERE o.state = 'dead' AND CAST(:channel AS text) IN ('', c.name) AND c.state <> 'removed'
ORDER BY o.lane, o.position
