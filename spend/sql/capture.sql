-- name: create_staging
-- One batch on its way into the ledger, in a table that only this connection sees.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_requests (
  line integer NOT NULL,
  key uuid NOT NULL,
  digest bigint NOT NULL,
  started_us bigint NOT NULL,
  attribution_id integer NOT NULL,
  price_version_id integer NOT NULL,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cache_write_tokens bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  audio_input_tokens bigint NOT NULL,
  audio_output_tokens bigint NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  status text NOT NULL,
  cost_usd numeric,
  request_id text,
  trace_id text,
  session_id text,
  end_user text
) ON COMMIT DELETE ROWS;

-- name: book
-- Books the staged requests whose keys are new, each key and its row in one statement; returns
-- how many were new and how many of them have no price. Keys go in in their own order, so that
-- two importers cannot wait for each other in a circle. The ids are drawn here, when cost_logs is
-- locked already: a restored database tells old rows from new ones by them.
WITH numbered AS MATERIALIZED (
  SELECT nextval('cost_logs_id_seq') AS id,
    TIMESTAMPTZ 'epoch' + started_us * INTERVAL '1 microsecond' AS started_at, s.*
  FROM staged_requests AS s
), fresh AS (
  INSERT INTO request_keys (row_id, digest, started_at, key)
  SELECT id, digest, started_at, key FROM numbered ORDER BY key
  ON CONFLICT (key) DO NOTHING
  RETURNING row_id
), booked AS (
  INSERT INTO cost_logs (id, started_at, attribution_id, price_version_id, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
    reasoning_tokens, audio_input_tokens, audio_output_tokens, provider, model, status, cost_usd,
    request_id, trace_id, session_id, end_user)
  SELECT id, started_at, attribution_id, price_version_id, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
    reasoning_tokens, audio_input_tokens, audio_output_tokens, provider, model, status, cost_usd,
    request_id, trace_id, session_id, end_user
  FROM numbered WHERE id IN (SELECT row_id FROM fresh)
  RETURNING cost_usd
)
SELECT count(*) AS imported, count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced FROM booked;

-- name: conflicts
-- Staged requests whose key is known with another content, or a time further off than rounding.
SELECT s.line, k.digest <> s.digest AS content
FROM staged_requests AS s
JOIN request_keys AS k USING (key)
WHERE k.digest <> s.digest
  OR k.started_at NOT BETWEEN
    TIMESTAMPTZ 'epoch' + (s.started_us - 2000000) * INTERVAL '1 microsecond'
    AND TIMESTAMPTZ 'epoch' + (s.started_us + 2000000) * INTERVAL '1 microsecond'
ORDER BY s.line;
