-- name: table
-- A table or view by its name, with or without a schema.
SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
  c.reltuples AS rows
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(CAST(:name AS text)) AND c.relkind IN ('r', 'p', 'v', 'm', 'f');

-- name: columns
-- The columns of a table with their types, in order.
SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = CAST(CAST(:table AS bigint) AS oid) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;

-- name: unique_columns
-- The columns that are unique by themselves, in every row, and never NULL.
SELECT a.attname FROM pg_index AS i
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = CAST(CAST(:table AS bigint) AS oid) AND i.indisunique AND i.indisvalid
  AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL AND a.attnotnull;

-- name: in_the_way
-- Relations of somebody else that have one of our names: table, kind, and the table of an index or
-- a sequence.
SELECT c.relname AS name, c.relkind AS kind, pg_get_userbyid(c.relowner) AS owner,
  coalesce(CAST(CAST(i.indrelid AS regclass) AS text), CAST(CAST(d.refobjid AS regclass) AS text))
    AS belongs_to
FROM pg_class AS c
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_depend AS d ON d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid
  AND d.refclassid = CAST('pg_class' AS regclass) AND d.deptype IN ('a', 'i') AND c.relkind = 'S'
WHERE c.relnamespace = CAST('public' AS regnamespace)
  AND c.relname = ANY (CAST(:names AS text[]))
  AND pg_get_userbyid(c.relowner) <> 'spendbeat_owner'
ORDER BY c.relname;

-- name: set_aside
-- The tables that were renamed, by the names that they have now.
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = CAST('public' AS regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.relname = ANY (CAST(:names AS text[]))
ORDER BY c.relname;

-- name: belongings
-- Indexes and sequences of a table that have one of our names.
SELECT c.relname AS name, c.relkind AS kind FROM pg_class AS c
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_depend AS d ON d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid
  AND d.refclassid = CAST('pg_class' AS regclass) AND d.deptype IN ('a', 'i') AND c.relkind = 'S'
WHERE coalesce(i.indrelid, d.refobjid) = to_regclass(CAST(:table AS text))
  AND c.relname = ANY (CAST(:names AS text[]))
ORDER BY c.relname;

-- name: booked
-- What is booked of an adopted table: rows, dollars, rows whose price is not known, and rows that
-- came without a cost and were priced.
SELECT count(*) AS rows, coalesce(sum(cost_usd), 0) AS cost,
  count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced,
  count(cost_usd) FILTER (WHERE price_version_id <> 0) AS priced_rows,
  coalesce(sum(cost_usd) FILTER (WHERE price_version_id <> 0), 0) AS priced_cost
FROM cost_logs
WHERE adjusts_id IS NULL AND starts_with(request_id, :prefix);

-- name: others
-- Whether the ledger holds anything that was not adopted.
SELECT EXISTS (
  SELECT FROM cost_logs WHERE request_id IS NULL OR NOT starts_with(request_id, :prefix)
) OR EXISTS (SELECT FROM sealed_months);
